"""A small hospital: Orthanc with a study of each outcome and the reports about them, and OHIF before it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from config.settings import ReportSettings
from inference.findings import Findings
from node.report import ReportObject
from node.report.context import ReportKind
from tests.node.report.report_sources import Study, findings_of
from tests.system.ohif import OhifSite
from tests.system.orthanc import DICOM_WEB, Orthanc
from tests.system.phantom_reports import (
    ALL_OBJECTS,
    REPORT_ALONE,
    enhanced_study_in_space,
    phantom_study,
    report_of,
    save,
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One study in the archive, with the report about it."""

    study: Study
    findings: Findings
    objects: list[ReportObject]

    @property
    def study_instance_uid(self) -> str:
        return self.study.series[0].study_instance_uid

    @property
    def series(self) -> set[str]:
        datasets = [*self.study.images.values(), *(made.dataset for made in self.objects)]
        return {str(dataset.SeriesInstanceUID) for dataset in datasets}

    def of_kind(self, kind: ReportKind) -> list[Dataset]:
        return [made.dataset for made in self.objects if made.kind == kind]

    def series_of(self, kind: ReportKind) -> str:
        (series,) = {str(dataset.SeriesInstanceUID) for dataset in self.of_kind(kind)}
        return series

    def dataset(self, sop_instance_uid: str) -> Dataset:
        (dataset,) = [made.dataset for made in self.objects if made.dataset.SOPInstanceUID == sop_instance_uid]
        return dataset


@dataclass(frozen=True)
class Hospital:
    pacs: Orthanc
    site: OhifSite
    cases: dict[str, Case]


@contextmanager
def opened_hospital(folder: Path) -> Iterator[Hospital]:
    cases = _cases(folder)
    pacs = Orthanc(folder / "orthanc", plugins=(DICOM_WEB,))
    site = OhifSite(pacs)
    pacs.start({})
    site.start()
    try:
        for name, one in cases.items():
            pacs.upload([*one.study.files.values(), *save(one.objects, folder / name / "results")])
        yield Hospital(pacs, site, cases)
    finally:
        site.stop()
        pacs.stop()


def _cases(folder: Path) -> dict[str, Case]:
    (folder / "enhanced").mkdir()
    enhanced = enhanced_study_in_space(folder / "enhanced")
    return {
        "lesions": _case(*phantom_study(folder / "lesions"), ALL_OBJECTS),
        "enhanced": _case(enhanced, findings_of(enhanced, "malignant")),
        "negative": _outcome(folder, "negative", patient=5),
        "not_analysed": _outcome(folder, "not_analysed", patient=6),
        "other_title": _with_title_of_measurements(_outcome(folder, "negative", patient=7)),
    }


def _case(study: Study, findings: Findings, settings: ReportSettings = REPORT_ALONE) -> Case:
    return Case(study=study, findings=findings, objects=report_of(study, findings, settings))


def _outcome(folder: Path, verdict: str, *, patient: int) -> Case:
    study, _ = phantom_study(folder / verdict / str(patient), patient)
    return _case(study, findings_of(study, verdict))


def _with_title_of_measurements(negative: Case) -> Case:
    """The same answer under the title of reports with boxes: what OHIF is known to fail on."""
    (title,) = negative.objects[0].dataset.ConceptNameCodeSequence
    title.CodeValue, title.CodeMeaning = "126000", "Imaging Measurement Report"
    return negative
