"""The one way to make an HTTP client for a DICOMweb service."""

import logging
import ssl
from functools import cache

import httpx

from config.settings import DicomWebDestinationSettings
from node.tls import client_context


def dicomweb_client(destination: DicomWebDestinationSettings) -> httpx.Client:
    """One connection to the service, for one thread at a time. Raises NodeError when its TLS files cannot be used."""
    _quiet_http_logs()
    token = destination.token
    return httpx.Client(
        timeout=destination.timeout_s,
        verify=ssl.create_default_context() if destination.tls is None else client_context(destination.tls),
        limits=httpx.Limits(max_connections=1),
        headers={} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"},
        follow_redirects=False,  # a redirect could carry images and token to somewhere else
        trust_env=False,  # and so could a proxy of the environment
    )


@cache
def _quiet_http_logs() -> None:
    """The library logs each request with its URL, in which there are UIDs, and a site may have put a password."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
