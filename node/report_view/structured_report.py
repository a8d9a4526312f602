"""A structured report or key object selection as one HTML page."""

from pydicom.dataset import Dataset

from node.report_view.content_tree import content_tree
from node.report_view.html_page import page, paragraph, table
from node.report_view.output import Output
from node.report_view.source_files import SourceFiles
from node.report_view.values import date, elements, time, values


def render_document(dataset: Dataset, sources: SourceFiles) -> list[Output]:
    title = next((str(code.CodeMeaning) for code in elements(dataset, "ConceptNameCodeSequence")), "Document")
    content = page(
        title,
        paragraph("This page holds patient data.", css_class="warning"),
        table(_header(dataset)),
        content_tree(dataset, sources),
    )
    return [Output(ending="html", content=content, caption=title)]


def _header(dataset: Dataset) -> list[tuple[str, str]]:
    def said(keyword: str) -> str:
        return ", ".join(str(value) for value in values(dataset, keyword))

    flags = (said(keyword) for keyword in ("CompletionFlag", "PreliminaryFlag", "VerificationFlag"))
    evidence = [*elements(dataset, "CurrentRequestedProcedureEvidenceSequence")]
    evidence += elements(dataset, "PertinentOtherEvidenceSequence")
    return [
        *patient_rows(dataset),
        ("Document", ", ".join(flag for flag in flags if flag)),
        ("Written", f"{date(said('ContentDate'))} {time(said('ContentTime'))}".strip()),
        ("Series", f"{said('SeriesNumber')} {said('SeriesDescription')}".strip()),
        ("Maker", f"{said('Manufacturer')}: {said('ManufacturerModelName')}, {said('SoftwareVersions')}"),
        ("Replaces", ", ".join(_instances(elements(dataset, "PredecessorDocumentsSequence")))),
        ("Evidence", f"{len(_instances(evidence))} instances" if evidence else ""),
        ("SOP Instance UID", said("SOPInstanceUID")),
    ]


def patient_rows(dataset: Dataset) -> list[tuple[str, str]]:
    """Patient and study, for the head of a page."""

    def said(keyword: str) -> str:
        return str(dataset.get(keyword, "") or "")

    return [
        ("Patient", said("PatientName")),
        ("Patient ID", said("PatientID")),
        ("Born", date(said("PatientBirthDate"))),
        ("Sex", said("PatientSex")),
        ("Study", f"{date(said('StudyDate'))} {said('StudyDescription')}".strip()),
        ("Accession number", said("AccessionNumber")),
    ]


def _instances(studies: list[Dataset]) -> list[str]:
    return [
        str(instance.ReferencedSOPInstanceUID)
        for study in studies
        for series in elements(study, "ReferencedSeriesSequence")
        for instance in elements(series, "ReferencedSOPSequence")
    ]
