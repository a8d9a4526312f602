"""What every report object gets last, whoever built it: patient and study, equipment, times, File Meta Information.

Nothing here reads a clock: dates and times come from the context.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from inference.findings import BundleIdentity
from node.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.report.algorithm import contributing_equipment
from node.report.character_set import UTF_8, choose_character_set
from node.report.context import ReportContext, ReportKind
from node.report.identifiers import (
    MANUFACTURER,
    algorithm_version,
    device_uid,
    model_name,
    report_uid,
    series_uid,
    software_version,
)
from node.report.kinds import KINDS, SERIES_NUMBERS_PER_REVISION
from node.report.patient_study import copy_patient_and_study, timezone_of

CHARACTER_SET = UTF_8  # of an object in the making; it holds every name of every source


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectIdentity:
    """Which object of which series this is."""

    kind: ReportKind
    sop_instance_uid: str
    series_instance_uid: str
    series_number: int
    series_description: str
    instance_number: int
    rule_attributes: Mapping[str, str]  # keyword -> value, for the rules of a PACS


def object_identity(
    kind: ReportKind, index: int, *, bundle: BundleIdentity, context: ReportContext, outcome: str
) -> ObjectIdentity:
    """Identity of the `index`-th object (from 1) of a kind. PACS rules match on `outcome`, the description's end."""
    key = (context.group_key, context.revision, bundle.sha256)
    revision_offset = SERIES_NUMBERS_PER_REVISION * (context.revision - 1)
    return ObjectIdentity(
        kind=kind,
        sop_instance_uid=report_uid(*key, kind, index),
        series_instance_uid=series_uid(*key, kind, index if KINDS[kind].a_series_each else 0),
        series_number=context.settings.series_number_base + revision_offset + KINDS[kind].series_offset,
        series_description=_description(context.settings.series_description, kind, bundle, outcome),
        rule_attributes=getattr(context.settings.rules, outcome.replace(" ", "_")),
        instance_number=index,
    )


def _description(pattern: str, kind: ReportKind, bundle: BundleIdentity, outcome: str) -> str:
    words = {"{model}": model_name(bundle), "{object}": KINDS[kind].word, "{verdict}": outcome}
    for place, word in words.items():
        pattern = pattern.replace(place, word)
    return pattern[:64]  # VR LO


def written_at(source: Dataset, context: ReportContext) -> datetime:
    """`created_at` on the clock that the study's own times are in."""
    return context.created_at.astimezone(timezone_of(source) or context.zone)


def finish(
    dataset: Dataset, source: Dataset, *, identity: ObjectIdentity, bundle: BundleIdentity, context: ReportContext
) -> Dataset:
    """Give an object everything that report objects share; returns the same dataset.

    `dataset` needs SOPClassUID, SOPInstanceUID and StudyInstanceUID, and all of its texts: the character set is chosen
    by them.
    """
    copy_patient_and_study(source, dataset)
    _series(dataset, identity)
    _equipment(dataset, bundle)
    _times(dataset, written_at(source, context))
    choose_character_set(dataset, source, context.settings.character_set)
    dataset.file_meta = _file_meta(dataset)
    return dataset


def _series(dataset: Dataset, identity: ObjectIdentity) -> None:
    dataset.SeriesInstanceUID = identity.series_instance_uid
    dataset.SeriesNumber = identity.series_number
    dataset.SeriesDescription = identity.series_description
    dataset.InstanceNumber = identity.instance_number
    for keyword, value in identity.rule_attributes.items():
        setattr(dataset, keyword, value)


def _equipment(dataset: Dataset, bundle: BundleIdentity) -> None:
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = model_name(bundle)
    dataset.DeviceUID = device_uid(bundle.sha256)
    dataset.SoftwareVersions = [software_version(), algorithm_version(bundle)]
    dataset.ContributingEquipmentSequence = list(contributing_equipment(bundle))


def _times(dataset: Dataset, moment: datetime) -> None:
    date, time = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")
    for name in ("InstanceCreation", "Content", "Series"):
        setattr(dataset, f"{name}Date", date)
        setattr(dataset, f"{name}Time", time)


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta
