"""Settings of pynetdicom and pydicom that hold for the whole process, made once, in one place."""

import logging
from functools import cache

from pynetdicom import _config


@cache
def prepare_dicom_stack() -> None:
    """Set the module-wide switches of the DICOM libraries; every part that opens an association calls this first.

    Both libraries can log names and UIDs of the objects that pass through them; the node writes its own log lines.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    # A non-conformant UID would abort the association and the good objects behind it; the receiver checks each
    # object's UIDs itself and answers with a status.
    _config.ENFORCE_UID_CONFORMANCE = False
    # Files are sent as they are on disk, never decoded.
    _config.STORE_SEND_CHUNKED_DATASET = True
    _config.STORE_RECV_CHUNKED_DATASET = False
    for name in ("pynetdicom", "pydicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
