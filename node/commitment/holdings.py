"""Asks a destination whether it holds instances: C-FIND (PS3.4 C.4.1) or QIDO-RS (PS3.18 10.6).

Used before something is sent again, and to compare the node's memory with the archive's. Nothing that a peer answers
here is believed without the instance's own UID in it; None says that the peer could not or would not tell.
Identifiers are never logged.
"""

import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import httpx
import structlog
from pydicom.dataset import Dataset
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

from config.settings import AnyDestination, DestinationSettings, DicomWebDestinationSettings
from node.commitment.peer import open_association, storage_address
from node.commitment.results import SYNTAXES
from node.dicomweb import Deadline, dicomweb_client
from node.errors import NodeError

log = structlog.get_logger(__name__)

_STUDY_ROOT_FIND: Final = StudyRootQueryRetrieveInformationModelFind
_PENDING: Final = (0xFF00, 0xFF01)  # PS3.4 Table C.4-1
_SUCCESS: Final = 0x0000
_PAGE: Final = 1000  # answers of QIDO-RS at once
_LONGEST_PAGE_BYTES: Final = 16 << 20  # a page with some kB for each of its instances
_SOP_INSTANCE_UID: Final = "00080018"  # DICOM JSON model, PS3.18 F.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An instance to ask for. Without study and series many archives cannot say that they lack it."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str = ""
    series_instance_uid: str = ""

    @property
    def has_parents(self) -> bool:
        return bool(self.study_instance_uid and self.series_instance_uid)


def holds(destination: AnyDestination, wanted: Wanted, *, calling_ae_title: str) -> bool | None:
    """Whether the destination holds the instance; None when it cannot say. Raises nothing for the peer's faults."""
    return held(destination, [wanted], calling_ae_title=calling_ae_title)[wanted.sop_instance_uid]


def held(
    destination: AnyDestination, wanted: Sequence[Wanted], *, calling_ae_title: str, deadline: float = math.inf
) -> dict[str, bool | None]:
    """What the destination holds of the instances, by SOP Instance UID; None where it cannot say.

    All are asked over one association (or connection), those of one series together. An instance that was missing
    in the answer for its series is asked for by itself: archives may cut long answers short. After `deadline`, of
    `time.monotonic`, nothing more is asked.
    """
    answers: dict[str, bool | None] = {one.sop_instance_uid: None for one in wanted}
    try:
        with _catalogue(destination, calling_ae_title) as catalogue:
            timed = _Timed(catalogue, deadline)
            for series in _by_series(wanted):
                answers.update(_of_series(timed, series))  # one by one: those before a peer falls silent stay
    except (NodeError, httpx.HTTPError, _NoAnswer) as error:
        # an HTTP error's own words hold the URL, and the URL holds UIDs
        reason = str(error) if isinstance(error, NodeError | _NoAnswer) else type(error).__name__
        log.warning("holdings_not_told", destination=destination.name, instances=len(wanted), reason=reason)
    return answers


class _NoAnswer(Exception):
    """The peer stopped answering: nothing more can be asked."""


class _Catalogue(Protocol):
    """What can be asked. Both return None when the peer refuses the query, and raise when it stops answering."""

    def in_series(self, one: Wanted) -> set[str] | None:
        """The SOP Instance UIDs of all instances in the series of `one`."""

    def instance(self, one: Wanted) -> set[str] | None:
        """The SOP Instance UIDs that match `one`: itself, or none."""


@dataclass(frozen=True, slots=True)
class _Timed:
    """Asks a catalogue until the deadline."""

    catalogue: _Catalogue
    deadline: float

    def in_series(self, one: Wanted) -> set[str] | None:
        self._check()
        return self.catalogue.in_series(one)

    def instance(self, one: Wanted) -> set[str] | None:
        self._check()
        return self.catalogue.instance(one)

    def _check(self) -> None:
        if time.monotonic() >= self.deadline:
            raise _NoAnswer("no time is left for asking")


def _by_series(wanted: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    series: defaultdict[tuple[str, str], list[Wanted]] = defaultdict(list)
    for one in wanted:
        series[one.study_instance_uid, one.series_instance_uid].append(one)
    return iter(series.values())


def _of_series(catalogue: _Catalogue, wanted: Sequence[Wanted]) -> Iterator[tuple[str, bool | None]]:
    """An answer as soon as it is known: what comes before the peer stops answering counts."""
    found: set[str] = set()
    if len(wanted) > 1 and wanted[0].has_parents:
        found = catalogue.in_series(wanted[0]) or set()
    for one in wanted:
        uid = one.sop_instance_uid
        matches = found if uid in found else catalogue.instance(one)
        if matches is None:
            yield uid, None
        elif uid in matches:
            yield uid, True
        else:  # a query without the parents may be answered with nothing because it is not understood
            yield uid, False if one.has_parents else None


@contextmanager
def _catalogue(destination: AnyDestination, calling_ae_title: str) -> Iterator[_Catalogue]:
    if isinstance(destination, DicomWebDestinationSettings):
        with _client(destination) as client:
            yield _WebCatalogue(client, destination.timeout_s)
        return
    with _query_association(destination, calling_ae_title) as association:
        yield _DicomCatalogue(association)


@contextmanager
def _query_association(destination: DestinationSettings, calling_ae_title: str) -> Iterator[Association]:
    context = build_context(_STUDY_ROOT_FIND, SYNTAXES)
    with open_association(storage_address(destination, calling_ae_title), [context]) as association:
        yield association


class _DicomCatalogue:
    """C-FIND, Study Root, IMAGE level."""

    def __init__(self, association: Association) -> None:
        self._association = association

    def in_series(self, one: Wanted) -> set[str] | None:
        return self._find(one, "")

    def instance(self, one: Wanted) -> set[str] | None:
        return self._find(one, one.sop_instance_uid)

    def _find(self, one: Wanted, sop_instance_uid: str) -> set[str] | None:
        query = Dataset()
        query.QueryRetrieveLevel = "IMAGE"
        if one.has_parents:  # else a query by the unique key alone, which not every archive takes
            query.StudyInstanceUID = one.study_instance_uid
            query.SeriesInstanceUID = one.series_instance_uid
        query.SOPInstanceUID = sop_instance_uid
        found: set[str] = set()
        try:
            for status, match in self._association.send_c_find(query, _STUDY_ROOT_FIND):
                if "Status" not in status:
                    raise _NoAnswer("the query got no answer")
                if int(status.Status) in _PENDING and match is not None:
                    found.add(str(match.get("SOPInstanceUID", "")))
                elif int(status.Status) == _SUCCESS:
                    return found
        except (RuntimeError, ValueError) as error:  # the association ended, or the context is not for our role
            raise _NoAnswer(str(error)) from error
        return None


@contextmanager
def _client(destination: DicomWebDestinationSettings) -> Iterator[httpx.Client]:
    with dicomweb_client(destination) as client:
        client.base_url = str(destination.url).rstrip("/")
        client.headers["Accept"] = "application/dicom+json"
        yield client


def _bounded_body(answer: httpx.Response) -> bytes | None:
    """The whole body; None when it is longer than any page of instances."""
    body = bytearray()
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > _LONGEST_PAGE_BYTES:
            return None
    return bytes(body)


class _WebCatalogue:
    """QIDO-RS, search for instances."""

    def __init__(self, client: httpx.Client, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._deadline = Deadline()

    def in_series(self, one: Wanted) -> set[str] | None:
        found: set[str] = set()
        while True:
            page = self._search(one, {"limit": str(_PAGE), "offset": str(len(found))})
            if page is None:
                return None
            if page <= found:  # the end, or a service that knows no offset
                return found
            found |= page

    def instance(self, one: Wanted) -> set[str] | None:
        return self._search(one, {"SOPInstanceUID": one.sop_instance_uid})

    def _search(self, one: Wanted, parameters: dict[str, str]) -> set[str] | None:
        parent = f"/studies/{one.study_instance_uid}/series/{one.series_instance_uid}" if one.has_parents else ""
        request = self._client.build_request(
            "GET", f"{parent}/instances", params=parameters, extensions=self._deadline.extensions
        )
        with self._deadline.within(self._timeout_s):
            answer = self._client.send(request, stream=True)
            try:
                body = _bounded_body(answer)
            finally:
                answer.close()
        if answer.status_code == httpx.codes.NO_CONTENT:
            return set()
        if answer.status_code != httpx.codes.OK or body is None:
            return None
        try:
            return {str(item[_SOP_INSTANCE_UID]["Value"][0]) for item in json.loads(body)}
        except (ValueError, TypeError, LookupError):  # no DICOM JSON: a proxy's page, for instance
            return None
