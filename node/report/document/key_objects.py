"""The slices that matter, as a Key Object Selection (TID 2010): archives and viewers list and filter by it."""

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr import ContentSequence
from pydicom.dataset import Dataset

from config import codes
from inference.findings import BundleIdentity, Findings, ImageReference
from node.report import wording
from node.report.algorithm import observation_context
from node.report.coding import concept
from node.report.context import ReportContext, ReportObject
from node.report.errors import NotMadeError
from node.report.evidence import SourceImages, identity_note, reference_only
from node.report.finish import CHARACTER_SET, finish
from node.report.identifiers import MANUFACTURER
from node.report.material import Material
from node.report.pictures.overlay import overlay_subjects


def build_key_objects(material: Material) -> list[ReportObject]:
    """One document with every image that has a box, in the order of the overlays; none without a lesion.

    Images of another study are left out, and the description counts them: a document about several studies would
    have to stand in each of them (PS3.3 C.17.6.2.1).

    Raises
    ------
    NotMadeError
        no image with a finding is in the study of the report.
    """
    findings, sources = material.findings, material.sources
    images = [subject.image for subject in overlay_subjects(findings)]
    here = [image for image in images if sources.header(image).StudyInstanceUID == sources.study_instance_uid]
    if not images:
        return []
    if not here:
        raise NotMadeError("All images with a finding are in another study than the report.")
    identity = material.identity("key_objects", 1)
    description = _description(findings, sources, material.context, elsewhere=len(images) - len(here))
    references = _references(here, sources)
    document = KeyObjectSelectionDocument(
        evidence=list(references.values()),
        content=_content(references, description, findings.bundle),
        series_instance_uid=identity.series_instance_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=identity.instance_number,
        manufacturer=MANUFACTURER,
        specific_character_set=CHARACTER_SET,
    )
    _mend_references(document, here)
    finish(document, sources.source, identity=identity, bundle=findings.bundle, context=material.context)
    return [ReportObject(kind="key_objects", dataset=document)]


def _references(images: list[ImageReference], sources: SourceImages) -> dict[str, Dataset]:
    """The instances, each once, as highdicom may see them; Rows and Columns make it an image to highdicom."""
    references = {}
    for image in images:
        reference = reference_only(sources.header(image))
        reference.Rows = reference.Columns = 1
        references[image.sop_instance_uid] = reference
    return references


def _content(references: dict[str, Dataset], description: str, bundle: BundleIdentity) -> KeyObjectSelection:
    content = KeyObjectSelection(
        document_title=concept(codes.OF_INTEREST),
        referenced_objects=list(references.values()),
        description=description,
    )
    root = content[0]
    root.ContinuityOfContent = "SEPARATE"  # a list, no running text
    root.ContentSequence = ContentSequence([*observation_context(bundle), *root.ContentSequence])
    return content


def _mend_references(document: Dataset, images: list[ImageReference]) -> None:
    for item in document.ContentSequence:
        if item.ValueType == "IMAGE":
            del item.ConceptNameCodeSequence  # TID 2010 has no purpose of reference; highdicom writes "Source"
            reference = item.ReferencedSOPSequence[0]
            frames = [
                image.frame_number for image in images if image.sop_instance_uid == reference.ReferencedSOPInstanceUID
            ]
            if None not in frames:
                reference.ReferencedFrameNumber = frames


def _description(findings: Findings, sources: SourceImages, context: ReportContext, *, elsewhere: int) -> str:
    """The result and what it is worth: some viewers show nothing else of the document."""
    parts = [
        wording.impression(findings),
        f"{wording.counted(elsewhere, 'image')} with a finding in another study." if elsewhere else "",
        identity_note(findings, sources, context),
        wording.RESEARCH_USE,
        f"{wording.model_line(findings.bundle)}.",
        context.settings.institution_note,
    ]
    return " ".join(part for part in parts if part)
