"""The weights at the end of a training: a safetensors file whose head holds the sha256 of its tensors."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from inference.durable_files import write_durably
from inference.errors import TrainingError

_SHA256: Final = "sha256"  # over the file as it would be without this entry: names, shapes and numbers


def save_finished_weights(file: Path, state: Mapping[str, torch.Tensor]) -> None:
    tensors = {name: value.contiguous() for name, value in state.items()}
    whole = save(tensors, {_SHA256: _hash_of(tensors)})
    write_durably(file, lambda out: out.write(whole))


def load_finished_weights(file: Path, *, like: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """On the CPU. `like`: names and shapes that they must have. Raises TrainingError when the file is damaged."""
    try:
        with safe_open(file, "pt") as stored:
            said = (stored.metadata() or {}).get(_SHA256)
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (it is no mapping)
    except SafetensorError as error:
        raise _damaged(file, str(error)) from error
    if said is not None and said != _hash_of(tensors):  # runs of before the hash have none
        raise _damaged(file, "it does not fit its sha256")
    if _shapes(tensors) != _shapes(like):
        raise _damaged(file, "it is of another network")
    return tensors


def _hash_of(tensors: dict[str, torch.Tensor]) -> str:
    return hashlib.sha256(save(tensors)).hexdigest()


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}


def _damaged(file: Path, why: str) -> TrainingError:
    return TrainingError(
        f"{file} is damaged ({why}); delete its folder, and detections.json beside the folder, if there is one: "
        "this net is trained again"
    )
