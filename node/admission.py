"""Who may open an association: an allow-list of calling AE titles, each from its own addresses."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from config.settings import CallerSettings

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refusal(Enum):
    """Result, source and reason of an A-ASSOCIATE-RJ.  Source: PS3.8 Table 9-21."""

    CALLING_AE_TITLE_NOT_RECOGNIZED = (1, 1, 3)
    CALLED_AE_TITLE_NOT_RECOGNIZED = (1, 1, 7)
    TEMPORARY_CONGESTION = (2, 3, 1)
    LOCAL_LIMIT_EXCEEDED = (2, 3, 2)

    @property
    def reason(self) -> str:
        return self.name.lower().replace("_ae_", " AE ").replace("_", " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What an association request says about itself, and the address it came from."""

    calling_ae_title: str
    called_ae_title: str
    address: str


class Admission:
    """Decides on association requests. With no callers at all it refuses everybody."""

    def __init__(self, ae_title: str, callers: Sequence[CallerSettings]) -> None:
        self._ae_title = ae_title
        self._callers: dict[str, list[_Network]] = {}
        for caller in callers:
            networks = [ipaddress.ip_network(text, strict=False) for text in caller.addresses]
            self._callers.setdefault(caller.ae_title, []).extend(networks)

    def refusal(self, request: Request) -> Refusal | None:
        """Why the association is refused, or None. A wrong address is answered like an unknown AE title."""
        networks = self._callers.get(request.calling_ae_title.strip(), [])
        try:
            address = _address(request.address)
        except ValueError:
            return Refusal.CALLING_AE_TITLE_NOT_RECOGNIZED
        if not any(address in network for network in networks if network.version == address.version):
            return Refusal.CALLING_AE_TITLE_NOT_RECOGNIZED
        if request.called_ae_title.strip() != self._ae_title:
            return Refusal.CALLED_AE_TITLE_NOT_RECOGNIZED
        return None


def _address(text: str) -> _Address:
    address = ipaddress.ip_address(text)
    # a socket that listens on "::" shows IPv4 peers as ::ffff:a.b.c.d
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
