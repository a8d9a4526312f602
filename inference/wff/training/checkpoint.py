"""Checkpoints: written whole or not at all, and known to be whole when read.

A file is one line of text with the sha256 of the rest, then what `torch.save` wrote. It is read without unpickling
code.
"""

import hashlib
import io
from pathlib import Path
from typing import Any, BinaryIO, Final

import torch

from inference.durable_files import write_durably
from inference.errors import TrainingError

_MAGIC: Final = b"spinenode checkpoint 1 "


def save_checkpoint(file: Path, state: dict[str, Any]) -> None:
    """Replaces the file; whoever reads meanwhile, or after a power cut, finds the old one or the new one."""
    stream = io.BytesIO()
    torch.save(state, stream)
    body = stream.getbuffer()
    head = _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n"

    def write(out: BinaryIO) -> None:
        out.write(head)
        out.write(body)

    write_durably(file, write)


def load_checkpoint(file: Path) -> dict[str, Any]:
    """Tensors on the CPU. Raises TrainingError when the file is damaged."""
    data = file.read_bytes()
    head, newline, body = data.partition(b"\n")
    if not newline or head != _MAGIC + hashlib.sha256(body).hexdigest().encode():
        raise TrainingError(
            f"{file} is damaged: it does not fit its sha256; delete it, and this part is trained from its start"
        )
    state: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    return state
