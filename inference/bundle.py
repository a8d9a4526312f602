"""Bundles: weights, metadata and model card of a pipeline in one folder, immutable, identified by a sha256.

```
metadata.json        what it is, how it was made and measured; the sha256 of every other file
*.safetensors        weights (no pickles)
MODEL_CARD.md        for people
LICENSE
SHA256               identity of the bundle as made
```
The identity is the sha256 over the sorted lines `name sha256` of the weights and metadata.json, which holds the sha256
of every other file: it changes whenever the model does, or a word of its card. Imports no torch.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from inference.errors import BundleError
from inference.findings import BundleIdentity

METADATA: Final = "metadata.json"
MODEL_CARD: Final = "MODEL_CARD.md"
LICENSE: Final = "LICENSE"
RECORDED: Final = "SHA256"
WEIGHTS_SUFFIX: Final = ".safetensors"
SCHEMA: Final = 2
_OF_ONE_CLASS: Final = 1  # schema in which tau was a threshold on the score of one class
DEMO_BUNDLE: Final = Path(__file__).parent / "bundles" / "wff-demo-phantom"

_HASH_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files were checked against their hashes."""

    folder: Path
    identity: BundleIdentity
    metadata: Mapping[str, Any]

    def weights(self, name: str) -> Path:
        """Path of a weight file that metadata.json lists."""
        file = name + WEIGHTS_SUFFIX
        if file not in self.metadata["files"]:
            raise BundleError(f"{self.folder / METADATA} lists no {file}; the bundle is of another pipeline")
        return self.folder / file


def open_bundle(folder: Path) -> Bundle:
    """Read the metadata and check every file.

    Raises BundleError naming the file that is missing, damaged or changed.
    """
    metadata = _read_metadata(folder)
    hashes = metadata["files"]
    if not any(name.endswith(WEIGHTS_SUFFIX) for name in hashes):
        raise BundleError(f"{folder / METADATA} lists no weights; install the bundle again")
    for name, expected in hashes.items():
        found = sha256_of(_inside(folder, name))
        if found != expected:
            raise BundleError(
                f"{folder / name} is damaged: sha256 {found[:12]}..., expected {str(expected)[:12]}...; "
                "install the bundle again"
            )
    sha256 = _identity(folder, hashes)
    recorded = folder / RECORDED
    if recorded.exists() and recorded.read_bytes().strip() != sha256.encode():
        raise BundleError(f"{folder / METADATA} was changed after the bundle was made; install the bundle again")
    return Bundle(folder, _identity_of(folder, metadata, sha256), metadata)


def write_bundle(folder: Path, metadata: Mapping[str, Any]) -> BundleIdentity:
    """Complete a folder that already holds weights, model card and licence: hashes, metadata.json, SHA256."""
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name not in (METADATA, RECORDED))
    for needed in (MODEL_CARD, LICENSE):
        if needed not in names:
            raise BundleError(f"{folder / needed} is missing: a bundle is not shipped without it")
    full = {"schema": SCHEMA, **metadata, "files": {name: sha256_of(folder / name) for name in names}}
    (folder / METADATA).write_text(json.dumps(full, indent=2, sort_keys=True) + "\n")
    (folder / RECORDED).write_text(_identity(folder, full["files"]) + "\n")
    return open_bundle(folder).identity


def sha256_of(file: Path) -> str:
    """Raises BundleError when the file cannot be read."""
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while chunk := stream.read(_HASH_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise BundleError(f"{file} cannot be read ({error.strerror}); install the bundle again") from error
    return digest.hexdigest()


def _identity(folder: Path, hashes: Mapping[str, str]) -> str:
    named = {name: value for name, value in hashes.items() if name.endswith(WEIGHTS_SUFFIX)}
    named[METADATA] = sha256_of(folder / METADATA)
    lines = "".join(f"{name} {named[name]}\n" for name in sorted(named))
    return hashlib.sha256(lines.encode()).hexdigest()


def _read_metadata(folder: Path) -> dict[str, Any]:
    file = folder / METADATA
    try:
        metadata = json.loads(file.read_text())
    except OSError as error:
        raise BundleError(
            f"{file} cannot be read ({error.strerror}); give the folder of a bundle, or none for the demo bundle"
        ) from error
    except ValueError as error:
        raise BundleError(f"{file} is damaged: {error}; install the bundle again") from error
    if isinstance(metadata, dict) and metadata.get("schema") == _OF_ONE_CLASS:
        raise BundleError(
            f"{file} is of bundle schema {_OF_ONE_CLASS}, whose threshold was on another score: run its training again "
            "in its folder, which keeps the weights, or use the release that made it"
        )
    if not isinstance(metadata, dict) or metadata.get("schema") != SCHEMA:
        raise BundleError(f"{file} is not of bundle schema {SCHEMA}; use the release that made the bundle")
    if not isinstance(metadata.get("files"), dict):
        raise BundleError(f"{file} lists no files; install the bundle again")
    return metadata


def _inside(folder: Path, name: str) -> Path:
    if Path(name).name != name:
        raise BundleError(f"{folder / METADATA} names the file {name!r} outside the bundle; do not use this bundle")
    return folder / name


def _identity_of(folder: Path, metadata: Mapping[str, Any], sha256: str) -> BundleIdentity:
    try:
        return BundleIdentity(
            pipeline=str(metadata["pipeline"]),
            name=str(metadata["name"]),
            version=str(metadata["version"]),
            sha256=sha256,
            trained_on=str(metadata["trained_on"]),
            validated_on=str(metadata["validated_on"]),
            phantom_trained=bool(metadata["phantom_trained"]),
            components=tuple(str(c) for c in metadata["components"]),
        )
    except KeyError as error:
        raise BundleError(f"{folder / METADATA} lacks the key {error}; install the bundle again") from error
