"""Settings of what goes out: destinations, routes to them, and how patiently they are served."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Discriminator, Field, HttpUrl, SecretStr, Tag
from pydicom.datadict import dictionary_VR, tag_for_keyword

from config.receiving import TlsClientSettings
from config.reporting import ReportObjects
from config.values import AETitle, Host, Name, Part, Port, Seconds, Timeout

_COERCIBLE_VRS: Final = frozenset({"AE", "CS", "DA", "LO", "LT", "PN", "SH", "ST", "TM", "UT"})
_META_GROUP: Final = 0x0002
_TELLS_HOW_TEXT_IS_WRITTEN: Final = "SpecificCharacterSet"  # another value would garble every name
_LONGEST_COERCED_VALUE: Final = 64  # of LO, the longest of the short text forms (PS3.5 6.2)


def _check_coercion(coerce: dict[str, str]) -> dict[str, str]:
    for keyword, value in coerce.items():
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise ValueError(f"{keyword!r} is no DICOM keyword; write it as in PS3.6, for instance InstitutionName")
        vr = dictionary_VR(tag)
        if vr not in _COERCIBLE_VRS or tag >> 16 <= _META_GROUP or keyword == _TELLS_HOW_TEXT_IS_WRITTEN:
            raise ValueError(f"{keyword} ({vr}) cannot be coerced: only attributes that hold text, and no UID")
        if len(value) > _LONGEST_COERCED_VALUE or not value.isprintable():
            raise ValueError(f"{keyword}: a value has at most {_LONGEST_COERCED_VALUE} printable characters")
    return coerce


Coercion = Annotated[
    dict[str, str],
    AfterValidator(_check_coercion),
    Field(description="attributes of forwarded originals, by keyword, that get another value on the way"),
]


class SenderSettings(Part):
    """Delays between attempts grow as base * 2^attempt up to the cap, with jitter.

    With the defaults an object waits about two days for its PACS, a weekend's outage, before it is a dead letter.
    """

    maximum_attempts: Annotated[int, Field(ge=1)] = 100
    retry_base_s: Seconds = 5.0
    retry_cap_s: Seconds = 3600.0
    lease_s: Seconds = 120.0
    poll_s: Seconds = 0.5
    circuit_opens_after: Annotated[int, Field(ge=1)] = Field(
        default=3, description="failures to reach a destination, in a row, after which only probes are sent"
    )
    circuit_probe_s: Seconds = Field(default=60.0, description="longest time between two probes of a dead destination")
    commitment_wait_s: Seconds = Field(
        default=3600.0, description="an archive's answer may take so long; then asked again"
    )


class CommitmentSettings(Part):
    """Storage commitment asked of a destination, which may do it under another address than storage."""

    ae_title: AETitle | None = Field(default=None, description="none: the destination's own")
    host: Host | None = None
    port: Port | None = None


class DestinationSettings(Part):
    """A DICOM AE that takes report objects or forwarded originals."""

    name: Name
    ae_title: AETitle
    host: Host
    port: Port
    timeout_s: Timeout = 30.0
    associations: Annotated[int, Field(ge=1, le=16)] = Field(default=1, description="at once, for one destination")
    tls: TlsClientSettings | None = None
    commitment: CommitmentSettings | None = Field(default=None, description="ask for storage commitment")
    query: bool = Field(default=True, description="ask by C-FIND what it holds before sending again after a crash")
    coerce: Coercion = {}  # noqa: RUF012 - pydantic copies defaults


class DicomWebDestinationSettings(Part):
    """A DICOMweb service that takes objects by STOW-RS (PS3.18 10.5)."""

    name: Name
    url: HttpUrl = Field(description="of the service: /studies is added")
    token: SecretStr | None = Field(default=None, description="bearer token")
    timeout_s: Timeout = 30.0
    associations: Annotated[int, Field(ge=1, le=16)] = Field(default=1, description="requests at once")
    tls: TlsClientSettings | None = None
    query: bool = Field(default=True, description="ask by QIDO-RS what it holds before sending again after a crash")
    coerce: Coercion = {}  # noqa: RUF012 - pydantic copies defaults


def _destination_kind(value: object) -> str:
    has_url = "url" in value if isinstance(value, dict) else isinstance(value, DicomWebDestinationSettings)
    return "dicomweb" if has_url else "dicom"


AnyDestination = Annotated[
    Annotated[DestinationSettings, Tag("dicom")] | Annotated[DicomWebDestinationSettings, Tag("dicomweb")],
    Discriminator(_destination_kind),
]


class RouteSettings(Part):
    """Which senders' images go to which pipeline and destinations. The first matching route is taken."""

    name: Name
    callers: tuple[AETitle, ...] = Field(default=("*",), min_length=1, description='calling AE titles, "*" for all')
    pipeline: Literal["wff", "none"] = "wff"
    results_to: tuple[str, ...] = ()
    objects: ReportObjects | None = Field(default=None, description="none: those of reports.objects")
    forward_originals_to: tuple[str, ...] = ()
    forward_when: Literal["received", "analysed"] = Field(
        default="received", description="analysed: when the answer of their case is there, whatever it is"
    )

    def takes(self, calling_ae_title: str) -> bool:
        return "*" in self.callers or calling_ae_title in self.callers
