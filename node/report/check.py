"""The last look at a report before it leaves: faults that no validator notices.

It reads the finished objects as a receiver would, and compares them with the source images. It shares no code with
the builders, so that one mistake cannot hide in both.
"""

from collections.abc import Iterable, Mapping, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from config import codes
from node.report.context import ReportObject
from node.report.errors import ReportCheckError

_MEASUREMENT_GROUP = ("125007", "DCM")
_TRACKING_IDENTIFIER = ("112039", "DCM")
_TRACKING_UID = ("112040", "DCM")
_IMAGE_REGION = ("111030", "DCM")
_GEOMETRIC_PURPOSE = ("130400", "DCM")
_CORNERS = 5  # of a closed rectangle
_ROUNDING_PX = 0.01  # coordinates are 32 bit floats


def check_objects(
    objects: Sequence[ReportObject], images: Mapping[str, Dataset], source: Dataset, *, one_patient: bool = True
) -> None:
    """Check every object of one report.

    `images` are the source headers by SOP Instance UID; `source` is the one whose patient and study the report took.
    `one_patient`: no image of another PatientID may be referred to; False where a person released the case as one.

    Raises
    ------
    ReportCheckError
        names the object's kind and every fault, without patient data.
    """
    rules = (_faults, _patients) if one_patient else (_faults,)
    faults = [
        f"{made.kind} {made.dataset.SOPInstanceUID}: {fault}"
        for made in objects
        for rule in rules
        for fault in rule(made.dataset, images, source)
    ]
    if faults:
        raise ReportCheckError("; ".join(faults))


def _faults(dataset: Dataset, images: Mapping[str, Dataset], source: Dataset) -> Iterable[str]:
    yield from _identity(dataset, images, source)
    if dataset.SOPClassUID == Comprehensive3DSRStorage:
        yield from _document(dataset, images)
    else:
        yield from _picture(dataset, images)


def _identity(dataset: Dataset, images: Mapping[str, Dataset], source: Dataset) -> Iterable[str]:
    for keyword in ("PatientID", "IssuerOfPatientID", "StudyInstanceUID"):
        if _value(dataset, keyword) != _value(source, keyword):
            yield f"{keyword} differs from the source images'"
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"):
        if keyword not in dataset:
            yield f"{keyword} is missing"
    for uid in _referenced(dataset):
        if uid not in images:
            yield f"refers to {uid}, which is no image of the case"


def _patients(dataset: Dataset, images: Mapping[str, Dataset], source: Dataset) -> Iterable[str]:
    for uid in _referenced(dataset):
        if uid in images and _value(images[uid], "PatientID") != _value(source, "PatientID"):
            yield f"refers to {uid}, an image of another PatientID"


def _document(dataset: Dataset, images: Mapping[str, Dataset]) -> Iterable[str]:
    template = dataset.get("ContentTemplateSequence") or [Dataset()]
    if template[0].get("TemplateIdentifier") != "1500":
        yield "TemplateIdentifier is not 1500"
    if (dataset.VerificationFlag, dataset.PreliminaryFlag) != ("UNVERIFIED", "PRELIMINARY"):
        yield "claims to be verified or final"
    evidence = _evidence(dataset)
    for uid in _referenced(dataset):
        if uid not in evidence:
            yield f"refers to {uid}, which is not among its evidence"
    groups = [item for item in _walk(dataset) if _name(item) == _MEASUREMENT_GROUP]
    title = (codes.IMAGING_MEASUREMENT_REPORT if groups else codes.ONCOLOGY_MEASUREMENT_REPORT).value
    if _name(dataset)[0] != title:
        yield f"has {len(groups)} boxes, but the title {_name(dataset)[0]}"
    for number, group in enumerate(groups, start=1):
        for fault in _group(group, images):
            yield f"measurement group {number}: {fault}"


def _group(group: Dataset, images: Mapping[str, Dataset]) -> Iterable[str]:
    children = list(group.get("ContentSequence") or ())
    by_name = {_name(item): item for item in children}
    for name, attribute in ((_TRACKING_IDENTIFIER, "TextValue"), (_TRACKING_UID, "UID")):
        if name not in by_name or not by_name[name].get(attribute):
            yield f"{attribute} for tracking is missing"
    if _GEOMETRIC_PURPOSE not in by_name:
        yield "does not say that its polyline is a box"
    regions = [item for item in children if _name(item) == _IMAGE_REGION]
    if len(regions) != 1:
        yield f"has {len(regions)} regions"
    for region in regions:
        yield from _region(region, images)


def _region(region: Dataset, images: Mapping[str, Dataset]) -> Iterable[str]:
    data = [float(value) for value in region.get("GraphicData") or ()]
    points = list(zip(data[0::2], data[1::2], strict=False))
    if region.get("GraphicType") != "POLYLINE" or len(points) != _CORNERS or points[0] != points[-1]:
        yield f"is not a closed rectangle: {region.get('GraphicType')} of {len(points)} points"
        return
    columns, rows = [x for x, _ in points], [y for _, y in points]
    if min(columns) >= max(columns) or min(rows) >= max(rows):
        yield "has no area"
    references = _referenced(region)
    if len(references) != 1:
        yield f"lies on {len(references)} images"
        return
    image = images.get(references[0])
    width, height = (int(image.get(keyword) or 0) if image else 0 for keyword in ("Columns", "Rows"))
    if min(*columns, *rows) < -_ROUNDING_PX or max(columns) > width + _ROUNDING_PX or max(rows) > height + _ROUNDING_PX:
        yield f"lies outside its image of {width} x {height} pixels: {data}"


def _picture(dataset: Dataset, images: Mapping[str, Dataset]) -> Iterable[str]:
    if len(dataset.PixelData) not in (size := dataset.Rows * dataset.Columns * 3, size + 1):
        yield f"{len(dataset.PixelData)} bytes of pixels, {size} expected"
    for item in dataset.get("SourceImageSequence") or ():
        image = images.get(item.ReferencedSOPInstanceUID, Dataset())
        if int(image.get("NumberOfFrames") or 1) > 1 and "ReferencedFrameNumber" not in item:
            yield f"refers to multi-frame image {item.ReferencedSOPInstanceUID} without a frame number"


def _walk(item: Dataset) -> Iterable[Dataset]:
    for child in item.get("ContentSequence") or ():
        yield child
        yield from _walk(child)


def _name(item: Dataset) -> tuple[str, str]:
    names = item.get("ConceptNameCodeSequence")
    return (str(names[0].CodeValue), str(names[0].CodingSchemeDesignator)) if names else ("", "")


def _referenced(dataset: Dataset) -> list[str]:
    """SOP Instance UIDs that the content tree or the picture refers to, in order, each once."""
    items = [item for child in _walk(dataset) for item in child.get("ReferencedSOPSequence") or ()]
    items += dataset.get("SourceImageSequence") or ()
    return list(dict.fromkeys(str(item.ReferencedSOPInstanceUID) for item in items))


def _evidence(dataset: Dataset) -> set[str]:
    studies = [
        *(dataset.get("CurrentRequestedProcedureEvidenceSequence") or ()),
        *(dataset.get("PertinentOtherEvidenceSequence") or ()),
    ]
    return {
        str(instance.ReferencedSOPInstanceUID)
        for study in studies
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }


def _value(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip()
