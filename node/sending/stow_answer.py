"""What a DICOMweb service's answer to one stored object means.

Source: PS3.18 Table 10.5.3-1 (status codes), `node.sending.store_response`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from node.sending.results import NoAnswer, StoreOutcome, classify
from node.sending.store_response import read_response

_LONGEST_RETRY_AFTER_S: Final = 3600.0  # a service that asks for more is asked again all the same

_STORED_WITH_WARNINGS: Final = 202
_STORED: Final = (200, 201, _STORED_WITH_WARNINGS, 204)

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


def understand(code: int, headers: Mapping[str, str], content: bytes | None, sop_instance_uid: str) -> Answer:
    """The answer to a request that held one object; `content` is None when it could not be read whole.

    Success is believed only without content, or with that of a service which stores: a login page comes with 200,
    too. The reasons hold no word of the service's own text.
    """
    response = read_response(content, sop_instance_uid) if content else None
    if response is None and content != b"" and code in _STORED:
        return _not_understood(code)
    failure, warning = (response.failure, response.warning) if response else (None, None)
    if failure is not None:  # whatever the code: the object was told apart
        outcome, meaning = classify(failure)
        if outcome is StoreOutcome.SENT:  # listed as failed with "success": believe the list
            outcome = StoreOutcome.REFUSED_FOR_NOW
        return Answer(outcome=outcome, reason=f"HTTP {code}, 0x{failure:04X} {meaning}", status=failure)
    if code in _STORED and code != _STORED_WITH_WARNINGS:
        if warning:
            return _warned(code, warning)
        return Answer(outcome=StoreOutcome.SENT, status=0)
    if code == _STORED_WITH_WARNINGS:
        return _warned(code, warning)
    return _not_stored(code, headers)


def _not_understood(code: int) -> Answer:
    """The object may have been stored, or thrown away by whatever answered."""
    return Answer(
        outcome=StoreOutcome.REFUSED_FOR_NOW,
        reason=f"HTTP {code} with something else than a Store Instances Response (PS3.18 10.5.3); "
        "look whether the destination's url is that of its DICOMweb service, and not behind a login",
        no_answer=NoAnswer.LOST,
    )


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
