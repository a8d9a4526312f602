"""What a DICOMweb service's answer to one stored object means.

Source: PS3.18 Table 10.5.3-1 (status codes), 10.5.3.2 and Annex I (Store Instances Response Module).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from node.sending.results import NoAnswer, StoreOutcome, classify

_FAILED_SOP_SEQUENCE: Final = "00081198"
_FAILURE_REASON: Final = "00081197"
_REFERENCED_SOP_SEQUENCE: Final = "00081199"
_WARNING_REASON: Final = "00081196"
_REFERENCED_SOP_INSTANCE_UID: Final = "00081155"

_LONGEST_RETRY_AFTER_S: Final = 3600.0  # a service that asks for more is asked again all the same

# About every object alike, until someone changes settings or the service has time: the destination is away.
_NOT_FOR_US_NOW: Final = {
    401: "it does not accept the token, or wants one",
    403: "it does not allow us to store",
    404: "there is no STOW-RS service at this address",
    405: "there is no STOW-RS service at this address",
    407: "a proxy wants a password",
    429: "it is asked too often",
    503: "it is busy, or its storage is full",
}
_THROUGH_A_GATEWAY: Final = {502: "bad gateway", 504: "gateway timeout"}  # the service behind may have stored it
_REFUSED_FOR_NOW: Final = {408: "it did not get the request in time", 425: "too early", 500: "internal error"}
_REFUSED: Final = {
    400: "bad request",
    406: "it cannot answer in application/dicom+json",
    409: "it could not store the object",
    411: "it wants a length",
    413: "the object is too large for it",
    415: "it does not take this media type or transfer syntax",
    422: "it cannot process the object",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    outcome: StoreOutcome
    reason: str = ""
    status: int | None = None  # a DICOM status, where the service gave one for the object
    no_answer: NoAnswer | None = None
    retry_after_s: float = 0.0


def understand(code: int, headers: Mapping[str, str], content: bytes, sop_instance_uid: str) -> Answer:
    """The answer to a request that held one object. The reasons hold no word of the service's own text."""
    failure, warning = _reasons(content, sop_instance_uid)
    if failure is not None:  # whatever the code: the object was told apart
        outcome, meaning = classify(failure)
        if outcome is StoreOutcome.SENT:  # listed as failed with "success": believe the list
            outcome = StoreOutcome.REFUSED_FOR_NOW
        return Answer(outcome=outcome, reason=f"HTTP {code}, 0x{failure:04X} {meaning}", status=failure)
    if code in (200, 201, 204):
        if warning:
            return _warned(code, warning)
        return Answer(outcome=StoreOutcome.SENT, status=0)
    if code == 202:
        return _warned(code, warning)
    return _not_stored(code, headers)


def _warned(code: int, warning: int | None) -> Answer:
    what = f"HTTP {code}, 0x{warning:04X} {classify(warning)[1]}" if warning else f"HTTP {code}, stored with a warning"
    return Answer(outcome=StoreOutcome.SENT_WITH_WARNING, reason=what, status=warning)


def _not_stored(code: int, headers: Mapping[str, str]) -> Answer:
    later = StoreOutcome.REFUSED_FOR_NOW
    if code in _NOT_FOR_US_NOW:
        return Answer(
            outcome=later,
            reason=f"HTTP {code}: {_NOT_FOR_US_NOW[code]}",
            no_answer=NoAnswer.UNREACHED,
            retry_after_s=retry_after_s(headers.get("Retry-After", ""), datetime.now(UTC)),
        )
    if code in _THROUGH_A_GATEWAY:
        return Answer(outcome=later, reason=f"HTTP {code}: {_THROUGH_A_GATEWAY[code]}", no_answer=NoAnswer.LOST)
    if 300 <= code < 400:
        reason = f"HTTP {code}: the service is elsewhere; set the destination's url to that address"
        return Answer(outcome=later, reason=reason, no_answer=NoAnswer.UNREACHED)
    if code in _REFUSED_FOR_NOW or code >= 500:
        return Answer(outcome=later, reason=f"HTTP {code}: {_REFUSED_FOR_NOW.get(code, 'server error')}")
    return Answer(outcome=StoreOutcome.REFUSED, reason=f"HTTP {code}: {_REFUSED.get(code, 'refused')}")


def retry_after_s(value: str, now: datetime) -> float:
    """Seconds of a Retry-After header, a number or a date; 0 when it is neither (RFC 9110 10.2.3)."""
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return min(float(value), _LONGEST_RETRY_AFTER_S)
    try:
        seconds = (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError):  # TypeError: a date without a zone
        return 0.0
    return min(max(0.0, seconds), _LONGEST_RETRY_AFTER_S)


def _reasons(content: bytes, sop_instance_uid: str) -> tuple[int | None, int | None]:
    """Failure and warning reason of the object in a Store Instances Response; None where it has none."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):  # no JSON: XML, text, nothing
        return None, None
    datasets = answer if isinstance(answer, list) else [answer]
    failure = warning = None
    for dataset in datasets:
        for item in _items(dataset, _FAILED_SOP_SEQUENCE):
            if _is_about(item, sop_instance_uid):
                failure = _value(item, _FAILURE_REASON) or _PROCESSING_FAILURE
        for item in _items(dataset, _REFERENCED_SOP_SEQUENCE):
            if _is_about(item, sop_instance_uid):
                warning = _value(item, _WARNING_REASON)
    return failure, warning


_PROCESSING_FAILURE: Final = 0x0110


def _items(dataset: Any, tag: str) -> list[dict[str, Any]]:
    element = dataset.get(tag) if isinstance(dataset, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []


def _is_about(item: dict[str, Any], sop_instance_uid: str) -> bool:
    """Whether it names the object, or none: then there was only this one."""
    named = _first(item, _REFERENCED_SOP_INSTANCE_UID)
    return named is None or named == sop_instance_uid


def _value(item: dict[str, Any], tag: str) -> int | None:
    value = _first(item, tag)
    return value if isinstance(value, int) and 0 < value <= 0xFFFF else None


def _first(item: dict[str, Any], tag: str) -> Any:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and values else None
