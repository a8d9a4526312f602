"""Names and UIDs of report objects: derived, so that a retried job makes the same ones.

A UID is `2.25.` and the decimal form of a UUID (PS3.5 Annex B.2); the UUID is version 5 (RFC 9562) of the parts.
"""

import json
from importlib import metadata
from uuid import UUID, uuid5

from inference.findings import Box, BundleIdentity, ImageReference

MANUFACTURER = "SpineNode"
_MODEL_NAME_PREFIX = "SpineNode "
_NAMESPACE = UUID("6f1d0a86-3a0f-4a57-9a64-0b5a2a8f4a11")  # drawn once at random; a change renames every object
_HASH_PREFIX_LENGTH = 12  # 48 bits: enough to tell bundles apart, short enough to read aloud
_LONG_STRING = 64  # VR LO, PS3.5 6.2


def derived_uid(*parts: str | int) -> str:
    """A UID that depends on the parts and their order alone."""
    return f"2.25.{uuid5(_NAMESPACE, json.dumps(parts)).int}"


def report_uid(group_key: str, revision: int, bundle_sha256: str, kind: str, index: int) -> str:
    """SOP Instance UID of the `index`-th object of a kind, from 1; index 0 is the Series Instance UID of the kind."""
    return derived_uid("report", group_key, revision, bundle_sha256, kind, index)


def series_uid(group_key: str, revision: int, bundle_sha256: str, kind: str, index: int = 0) -> str:
    """Of all objects of a kind, or of the `index`-th alone."""
    if index:
        return derived_uid("report series", group_key, revision, bundle_sha256, kind, index)
    return report_uid(group_key, revision, bundle_sha256, kind, 0)


def device_uid(bundle_sha256: str, component: str = "") -> str:
    """Device UID of a pipeline, or of one component: another for each model (IHE AIR, Table 6.5.3.1-1)."""
    return derived_uid("device", bundle_sha256, component)


def tracking_uid(group_key: str, image: ImageReference, box: Box, ordinal: int) -> str:
    """Of a new lesion: by its image and pixels, and an ordinal among lesions that have both in common."""
    corners = (round(box.x0), round(box.y0), round(box.x1), round(box.y1))
    return derived_uid("finding", group_key, image.sop_instance_uid, image.frame_number or 0, *corners, ordinal)


def short_hash(bundle: BundleIdentity) -> str:
    return bundle.sha256[:_HASH_PREFIX_LENGTH]


def model_name(bundle: BundleIdentity, component: str = "") -> str:
    """Manufacturer's Model Name, e.g. "SpineNode WFF" or "SpineNode WFF detector"."""
    return f"{_MODEL_NAME_PREFIX}{bundle.pipeline.upper()} {component}".strip()[:_LONG_STRING]


def algorithm_version(bundle: BundleIdentity) -> str:
    """Version with the start of the bundle's hash: two trainings never share it."""
    return f"{bundle.version}+{short_hash(bundle)}"[:_LONG_STRING]


def software_version() -> str:
    try:
        return metadata.version("spinenode")
    except metadata.PackageNotFoundError:
        return "not installed"  # run from a source tree


def is_own_object(manufacturer: str) -> bool:
    """Whether the Manufacturer of an object is this node (or another SpineNode): never analysed, never sent again."""
    return manufacturer.strip() == MANUFACTURER
