"""Kinds of values in the settings: each knows what is allowed and says so."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def check_ae_title(value: str) -> str:
    """PS3.5 6.2, VR AE: 1 to 16 characters of the default repertoire, no backslash, no control character.

    Returns it without the spaces around it, which do not count. Raises ValueError.
    """
    stripped = value.strip(" ")
    if not stripped or len(stripped) > 16 or "\\" in stripped or not all(32 <= ord(c) < 127 for c in stripped):
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return stripped


def _check_network(value: str) -> str:
    ipaddress.ip_network(value, strict=False)
    return value


def _check_address(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise ValueError("an IP address of this machine is needed; 0.0.0.0 is every one, :: with IPv6 too") from None
    return value


def _check_host(value: str) -> str:
    try:
        value.encode("idna")  # what the resolver does first: parts of 1 to 63 characters between dots
    except UnicodeError:
        raise ValueError("no host can have this name: between two dots are 1 to 63 characters") from None
    if not value or any(character.isspace() for character in value):
        raise ValueError("a host name or an IP address is needed")
    return value


_LONGEST_S = 30 * 86_400.0  # nothing of the node waits longer; a typing error in a delay would never be noticed
_LONGEST_TIMEOUT_S = 86_400.0  # the system counts a socket's timeout in milliseconds of 32 bits: 24 days

AETitle = Annotated[str, AfterValidator(check_ae_title)]
Host = Annotated[str, AfterValidator(_check_host)]
Address = Annotated[str, AfterValidator(_check_address)]
Network = Annotated[str, AfterValidator(_check_network)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=_LONGEST_S, allow_inf_nan=False)]
Timeout = Annotated[float, Field(gt=0, le=_LONGEST_TIMEOUT_S, allow_inf_nan=False)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
