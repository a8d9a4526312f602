"""The result as an Encapsulated PDF (PS3.3 A.45.1): one page to read or print where no SR is shown."""

from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from config import codes
from inference.findings import Status
from node.report.coding import concept
from node.report.context import ReportObject
from node.report.finish import finish
from node.report.material import Material
from node.report.page.layout import document_title, draw_page

_MIME_TYPE: Final = "application/pdf"


def build_pdf(material: Material) -> list[ReportObject]:
    """One object with one page. No patient's name or number is on it, so Burned In Annotation is NO."""
    findings, sources = material.findings, material.sources
    identity = material.identity("pdf", 1)
    dataset = Dataset()
    dataset.SOPClassUID = EncapsulatedPDFStorage
    dataset.SOPInstanceUID = identity.sop_instance_uid
    dataset.StudyInstanceUID = sources.study_instance_uid
    dataset.Modality = "DOC"
    dataset.ConversionType = "WSD"  # Workstation, PS3.3 C.8.6.1
    _encapsulate(dataset, draw_page(material))
    dataset.DocumentTitle = document_title(findings)
    title = codes.IMAGING_MEASUREMENT_REPORT if findings.lesions else codes.ONCOLOGY_MEASUREMENT_REPORT
    dataset.ConceptNameCodeSequence = [concept(title)]  # that of the structured report, which says the same
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.BurnedInAnnotation = "NO"
    dataset.AcquisitionDateTime = ""  # Type 2: the page has no acquisition of its own
    if references := _source_instances(material):
        dataset.SourceInstanceSequence = references
    finish(dataset, sources.source, identity=identity, bundle=findings.bundle, context=material.context)
    return [ReportObject(kind="pdf", dataset=dataset)]


def _encapsulate(dataset: Dataset, document: bytes) -> None:
    """Encapsulated Document Module (PS3.3 C.24.2)."""
    dataset.MIMETypeOfEncapsulatedDocument = _MIME_TYPE
    dataset.EncapsulatedDocument = document + b"\0" * (len(document) % 2)  # PS3.5 8.1.1: even length
    dataset.EncapsulatedDocumentLength = len(document)  # without the padding


def _source_instances(material: Material) -> list[Dataset]:
    """The images that the page was made from: those used, or all that were looked at when nothing was analysed."""
    findings = material.findings
    used = {image.sop_instance_uid for series in findings.series_used for image in series.images}
    everything = findings.status is Status.NOT_ANALYSED
    items = []
    for header in material.sources.evidence:
        if everything or str(header.SOPInstanceUID) in used:
            item = Dataset()
            item.ReferencedSOPClassUID = str(header.SOPClassUID)
            item.ReferencedSOPInstanceUID = str(header.SOPInstanceUID)
            items.append(item)
    return items
