"""Who may open an association: an allow-list of calling AE titles, each from its own addresses and certificates."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from config.settings import CallerSettings
from node.tls import certificate_name

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refusal(Enum):
    """Result, source and reason of an A-ASSOCIATE-RJ.  Source: PS3.8 Table 9-21."""

    CALLING_AE_TITLE_NOT_RECOGNIZED = (1, 1, 3)
    CALLED_AE_TITLE_NOT_RECOGNIZED = (1, 1, 7)
    # The standard has no reason for a foreign certificate: the peer is told none, the log knows it.
    CERTIFICATE_NOT_ALLOWED = (1, 1, 1)
    TEMPORARY_CONGESTION = (2, 3, 1)
    LOCAL_LIMIT_EXCEEDED = (2, 3, 2)

    @property
    def reason(self) -> str:
        return self.name.lower().replace("_ae_", " AE ").replace("_", " ")

    @property
    def remedy(self) -> str:
        """What a person at the node can do about it."""
        return _REMEDIES[self]

    @property
    def is_of_the_peer(self) -> bool:
        """Whether it is about who asks; otherwise about how much room the node has now."""
        return self.value[0] == 1


_REMEDIES = {
    Refusal.CALLING_AE_TITLE_NOT_RECOGNIZED: "add the peer's AE title with this address to [[callers]]",
    Refusal.CALLED_AE_TITLE_NOT_RECOGNIZED: "set the peer's called AE title to receiver.ae_title",
    Refusal.CERTIFICATE_NOT_ALLOWED: "the caller must come over TLS with one of callers.certificates: add the name or "
    "fingerprint of the certificate it shows, or give it another one",
    Refusal.TEMPORARY_CONGESTION: "the node is stopping, or its disk is nearly full; the peer may try again later",
    Refusal.LOCAL_LIMIT_EXCEEDED: "raise receiver.maximum_associations or receiver.maximum_associations_per_address, "
    "or look for peers that leave theirs open",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What an association request says about itself, and the connection that it came over."""

    calling_ae_title: str
    called_ae_title: str
    address: str
    certificate_names: frozenset[str] | None = None  # of `tls.certificate_names`; None: not over TLS
    connection: int | None = None  # IncomingConnection.number; None: no place is asked for


class Places(Protocol):
    """Whether the node has room for one more association."""

    def take(self, connection: int) -> Refusal | None:
        """Take a place for the association on this connection until the connection ends, or say why there is none."""


class Admission:
    """Decides on association requests. With no callers at all it refuses everybody."""

    def __init__(self, ae_title: str, callers: Sequence[CallerSettings], places: Places | None = None) -> None:
        self._ae_title = ae_title
        self._places = places
        self._callers: dict[str, list[_Caller]] = {}
        for caller in callers:
            self._callers.setdefault(caller.ae_title, []).append(_caller(caller))

    def refusal(self, request: Request) -> Refusal | None:
        """Why the association is refused, or None. A wrong address is answered like an unknown AE title.

        Strangers are turned away before a place is asked for, so that they cannot take those of the callers.
        """
        if (refusal := self.identity_refusal(request)) is not None:
            return refusal
        if self._places is None or request.connection is None:
            return None
        return self._places.take(request.connection)

    def identity_refusal(self, request: Request) -> Refusal | None:
        """The same for who asks alone: takes no place, and may be asked before the request is decoded."""
        try:
            address = _address(request.address)
        except ValueError:
            return Refusal.CALLING_AE_TITLE_NOT_RECOGNIZED
        here = [caller for caller in self._callers.get(request.calling_ae_title.strip(), []) if caller.is_at(address)]
        if not here:
            return Refusal.CALLING_AE_TITLE_NOT_RECOGNIZED
        if request.called_ae_title.strip() != self._ae_title:
            return Refusal.CALLED_AE_TITLE_NOT_RECOGNIZED
        if not any(caller.shows_its_certificate(request.certificate_names) for caller in here):
            return Refusal.CERTIFICATE_NOT_ALLOWED
        return None


@dataclass(frozen=True, slots=True)
class _Caller:
    """One [[callers]] table, ready to be compared."""

    networks: tuple[_Network, ...]
    certificates: frozenset[str]

    def is_at(self, address: _Address) -> bool:
        return any(address in network for network in self.networks if network.version == address.version)

    def shows_its_certificate(self, names: frozenset[str] | None) -> bool:
        return not self.certificates or (names is not None and not self.certificates.isdisjoint(names))


def _caller(settings: CallerSettings) -> _Caller:
    return _Caller(
        networks=tuple(ipaddress.ip_network(text, strict=False) for text in settings.addresses),
        certificates=frozenset(map(certificate_name, settings.certificates)),
    )


def _address(text: str) -> _Address:
    address = ipaddress.ip_address(text)
    # a socket that listens on "::" shows IPv4 peers as ::ffff:a.b.c.d
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
