"""All report objects of one case into one folder, with a page that shows everything."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from pydicom import dcmread
from pydicom import uid as uids
from pydicom.dataset import Dataset

from node.report_view.captures import render_capture
from node.report_view.encapsulated_pdf import render_pdf
from node.report_view.folder import INDEX, OutputFolder
from node.report_view.html_page import figure, heading, link, page, paragraph, table
from node.report_view.output import Output, Render
from node.report_view.presentation_state import render_presentation_state
from node.report_view.segmentation import render_segmentation
from node.report_view.source_files import UNREADABLE, SourceFiles
from node.report_view.stored import StoredObject, StoredReport
from node.report_view.structured_report import patient_rows, render_document

log = structlog.get_logger(__name__)

_RENDER: Final[dict[str, Render]] = {
    uids.Comprehensive3DSRStorage: render_document,
    uids.ComprehensiveSRStorage: render_document,
    uids.EnhancedSRStorage: render_document,
    uids.BasicTextSRStorage: render_document,
    uids.KeyObjectSelectionDocumentStorage: render_document,
    uids.SecondaryCaptureImageStorage: render_capture,
    uids.MultiFrameTrueColorSecondaryCaptureImageStorage: render_capture,
    uids.GrayscaleSoftcopyPresentationStateStorage: render_presentation_state,
    uids.SegmentationStorage: render_segmentation,
    uids.EncapsulatedPDFStorage: render_pdf,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownObject:
    """What became of one object: its files in the folder, or why there is none."""

    kind: str
    sop_instance_uid: str
    series_description: str = ""
    files: tuple[tuple[str, str], ...] = ()  # name and caption
    problem: str = ""


def show_report(report: StoredReport, folder: OutputFolder) -> list[ShownObject]:
    """Write the files of every object and the index; what cannot be shown is told, and stops nothing else.

    Raises OSError when nothing can be written.
    """
    images = SourceFiles(report.sources)
    shown = []
    patient: list[tuple[str, str]] = []
    for stored in report.objects:
        dataset, problem = _read(stored)
        if dataset is None:
            shown.append(ShownObject(kind=stored.kind, sop_instance_uid=stored.sop_instance_uid, problem=problem))
            continue
        patient = patient or patient_rows(dataset)
        shown.append(_show(stored, dataset, images, folder, stem=f"case-{report.case_id}"))
    folder.write(INDEX, _index(report, patient, shown))
    return shown


def _read(stored: StoredObject) -> tuple[Dataset | None, str]:
    """The object, or None and why not."""
    if stored.purged_at is not None:
        return None, f"removed by retention on {stored.purged_at:%Y-%m-%d}; the archive may hold it"
    try:
        return dcmread(stored.file), ""
    except FileNotFoundError:
        return None, "its file is gone; `spinenode verify` tells more"
    except UNREADABLE as error:
        return None, f"its file cannot be read ({type(error).__name__}); `spinenode verify --contents` tells more"


def _show(
    stored: StoredObject, dataset: Dataset, images: SourceFiles, folder: OutputFolder, *, stem: str
) -> ShownObject:
    render = _RENDER.get(str(dataset.get("SOPClassUID", "")))
    outputs: list[Output] = []
    problem = "" if render else "nothing here shows objects of its SOP class"
    if render is not None:
        try:
            outputs = render(dataset, images)
            problem = "" if outputs else "its images are gone, so there is nothing to show it on"
        except UNREADABLE as error:
            log.warning("report_object_not_shown", kind=stored.kind, error=type(error).__name__)
            problem = f"it cannot be shown ({type(error).__name__})"
    stem = f"{stem}-{stored.kind.replace('_', '-')}-{stored.number}"
    return ShownObject(
        kind=stored.kind,
        sop_instance_uid=stored.sop_instance_uid,
        series_description=str(dataset.get("SeriesDescription", "") or ""),
        files=tuple(_written(outputs, stem, folder)),
        problem=problem,
    )


def _written(outputs: Sequence[Output], stem: str, folder: OutputFolder) -> Iterable[tuple[str, str]]:
    """Names and captions of the files; several of one kind are numbered."""
    endings = [output.ending for output in outputs]
    for index, output in enumerate(outputs):
        number = f"-{endings[: index + 1].count(output.ending):02d}" if endings.count(output.ending) > 1 else ""
        name = f"{stem}{number}.{output.ending}"
        folder.write(name, output.content)
        yield name, output.caption


def _index(report: StoredReport, patient: Sequence[tuple[str, str]], shown: Sequence[ShownObject]) -> bytes:
    parts = [
        paragraph("This folder holds patient data. For research use only. Not for diagnosis.", css_class="warning"),
        table(patient),
    ]
    for kind in dict.fromkeys(one.kind for one in shown):
        alike = [one for one in shown if one.kind == kind]
        parts.append(heading(next((one.series_description for one in alike if one.series_description), kind)))
        parts += [paragraph(f"{one.sop_instance_uid}: {one.problem}.") for one in alike if one.problem]
        files = [file for one in alike for file in one.files]
        parts += [f"<p>{link(name, caption)}</p>" for name, caption in files if not name.endswith(".png")]
        parts += [figure(name, caption) for name, caption in files if name.endswith(".png")]
    return page(f"Case {report.case_id}, revision {report.revision}", *parts)
