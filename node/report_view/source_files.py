"""The images that report objects refer to, as far as the node still has them."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from inference.heads import DAMAGED

log = structlog.get_logger(__name__)

UNREADABLE: Final = (*DAMAGED, RuntimeError, NotImplementedError)  # of headers and of pixel decoders
_NAMED_BY: Final = ("Modality", "SeriesNumber", "SeriesDescription", "InstanceNumber")


class SourceFiles:
    """Headers, names and pixels of the source images; None or empty for what is gone or cannot be read."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        """`files` by SOP Instance UID."""
        self._files = files
        self.header = cache(self._read_header)  # of an instance; many items of a tree refer to the same

    def name(self, sop_instance_uid: str) -> str:
        """E.g. "MR image 7 of series 3 (T2 TSE SAG)"; empty where the image is not there."""
        header = self.header(sop_instance_uid)
        if header is None:
            return ""
        modality, series, description, image = (_text(header, keyword) for keyword in _NAMED_BY)
        named = f"{modality} image {image}".strip()
        if series:
            named += f" of series {series}"
        return f"{named} ({description})" if description else named

    def stored_values(self, sop_instance_uid: str, frame_number: int | None = None) -> NDArray[np.float32] | None:
        """(rows, columns) stored values of an image, or of one frame, counted from 1."""
        file = self._files.get(sop_instance_uid)
        if file is None:
            return None
        try:
            values = pixel_array(file, index=(frame_number or 1) - 1)
        except UNREADABLE as error:
            log.warning("source_image_unreadable", sop_instance_uid=sop_instance_uid, error=type(error).__name__)
            return None
        return values.astype(np.float32) if values.ndim == 2 else None

    def _read_header(self, sop_instance_uid: str) -> Dataset | None:
        file = self._files.get(sop_instance_uid)
        if file is None:
            return None
        try:
            return dcmread(file, stop_before_pixels=True)
        except UNREADABLE as error:
            log.warning("source_header_unreadable", sop_instance_uid=sop_instance_uid, error=type(error).__name__)
            return None


def _text(header: Dataset, keyword: str) -> str:
    try:
        value = header.get(keyword)
    except UNREADABLE:  # a value that cannot be converted
        return ""
    return "" if value is None else str(value).strip()
