"""Files on their way out: which object a file holds, and its bytes in a transfer syntax that the peer accepts."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.errors import CannotUnderstand, InputRejected
from node.own_faults import is_own_fault
from node.part10 import FileMeta, file_prefix, has_file_meta, read_file_meta
from node.quick_head import quick_head

# What any peer must be able to take (implicit), and what keeps the VRs (explicit); tried in this order.
NATIVE_SYNTAXES: Final = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))

_SOURCE_AE_TITLE: Final = "SPINENODE"
_WORD_BYTES: Final = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}  # PS3.5 6.2


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingObject:
    """One file to send. UIDs are the data set's own, even where its file meta information tells others."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int  # bytes before the data set
    byte_count: int
    has_true_meta: bool  # file meta information is there and agrees with the data set


def read_outgoing(path: Path) -> OutgoingObject:
    """Find out what a file holds; a file without file meta information is read as well.

    Raises CannotUnderstand when it cannot be sent as a DICOM object, OSError when it cannot be read.
    """
    head = quick_head(path)
    if head is None:
        return _read_closely(path)
    return OutgoingObject(
        path=path,
        sop_class_uid=head.sop_class_uid,
        sop_instance_uid=head.sop_instance_uid,
        transfer_syntax_uid=head.transfer_syntax_uid,
        data_set_offset=head.data_set_offset,
        byte_count=head.byte_count,
        has_true_meta=head.meta_agrees,
    )


def _read_closely(path: Path) -> OutgoingObject:
    meta = read_file_meta(path) if has_file_meta(path) else None
    try:
        head = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"], force=True)
        sop_class_uid, sop_instance_uid = str(head.get("SOPClassUID", "")), str(head.get("SOPInstanceUID", ""))
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a parser fed with foreign bytes raises anything
        raise CannotUnderstand(f"the file cannot be parsed as DICOM ({type(error).__name__})") from error
    if not (sop_class_uid and sop_instance_uid):
        raise CannotUnderstand("the file holds no object with a SOP Class and SOP Instance UID")
    return OutgoingObject(
        path=path,
        sop_class_uid=sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=_guessed_syntax(head) if meta is None else meta.transfer_syntax_uid,
        data_set_offset=0 if meta is None else meta.data_set_offset,
        byte_count=path.stat().st_size,
        has_true_meta=_agrees(meta, sop_class_uid, sop_instance_uid),
    )


@contextmanager
def in_syntax(outgoing: OutgoingObject, transfer_syntax_uid: str) -> Iterator[Path]:
    """A DICOM file of the object in the given transfer syntax.

    The original file when that is how it is encoded; else a temporary one, gone after the block. The data set's
    bytes are never changed when the syntax stays the same.
    Raises InputRejected when the object cannot be brought into the syntax; OSError or MemoryError when the machine has
    no room for that.
    """
    if transfer_syntax_uid == outgoing.transfer_syntax_uid and outgoing.has_true_meta:
        yield outgoing.path
        return
    with tempfile.TemporaryDirectory(prefix="spinenode-send-") as folder:
        target = Path(folder) / "object.dcm"
        with target.open("wb") as file, outgoing.path.open("rb") as source:
            file.write(
                file_prefix(
                    sop_class_uid=outgoing.sop_class_uid,
                    sop_instance_uid=outgoing.sop_instance_uid,
                    transfer_syntax_uid=outgoing.transfer_syntax_uid,
                    source_ae_title=_SOURCE_AE_TITLE,
                )
            )
            source.seek(outgoing.data_set_offset)
            shutil.copyfileobj(source, file)
        if transfer_syntax_uid != outgoing.transfer_syntax_uid:
            _transcode(target, UID(transfer_syntax_uid))
        yield target


def _agrees(meta: FileMeta | None, sop_class_uid: str, sop_instance_uid: str) -> bool:
    return meta is not None and (meta.sop_class_uid, meta.sop_instance_uid) == (sop_class_uid, sop_instance_uid)


def _guessed_syntax(head: Dataset) -> str:
    """The encoding that pydicom found where the file does not tell it."""
    implicit_vr, little_endian = head.original_encoding
    if implicit_vr:
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian)


def _transcode(path: Path, target: UID) -> None:
    """Rewrite a file in an uncompressed little-endian syntax; the SOP Instance UID stays."""
    try:
        dataset = dcmread(path)
        stored = UID(dataset.file_meta.TransferSyntaxUID)
        if stored.is_encapsulated:
            dataset.decompress(generate_instance_uid=False)
        elif not stored.is_little_endian:
            dataset.walk(_swap_words)
        dataset.file_meta.TransferSyntaxUID = target
        # forced, because the library refuses to change the byte order: words are turned above, numbers when decoded
        dcmwrite(path, dataset, implicit_vr=target.is_implicit_VR, little_endian=True, force_encoding=True)
    except Exception as error:  # decoders are foreign code and raise anything
        if is_own_fault(error, path):
            raise
        raise InputRejected(
            f"the object cannot be converted to {target.name} ({type(error).__name__}); "
            "let the peer accept the transfer syntax in which it is stored"
        ) from error


def _swap_words(dataset: Dataset, element: DataElement) -> None:
    """Turn a big-endian word string round; pydicom turns numbers and tags, not these.  Source: PS3.5 7.3."""
    del dataset
    width = _WORD_BYTES.get(element.VR)
    if width is not None and element.value:
        element.value = np.frombuffer(element.value, dtype=f">u{width}").astype(f"<u{width}").tobytes()
