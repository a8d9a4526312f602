"""Reports with an object of every kind, and the self-check asked about them."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from config.reporting import OBJECT_NAMES
from config.settings import ReportSettings
from inference.findings import Findings
from node.report import ReportCheckError, ReportObject, build_report
from node.report.check import check_objects
from node.report.tracking import with_tracking
from tests.node.report.report_sources import Study, classic_study, context_of, enhanced_study, findings_of

WholeReport = Callable[[str, str], tuple[Study, Findings, list[ReportObject]]]

_GROUP_KEY = "0123456789abcdef" * 4


def whole_reports(folder: Path) -> WholeReport:
    """f(style, verdict): source, tracked findings and objects; each is made once, and nobody may change it."""
    studies: dict[str, Study] = {}
    for style, make in (("classic", classic_study), ("enhanced", enhanced_study)):
        (folder / style).mkdir()
        studies[style] = make(folder / style)

    @cache
    def build(style: str, verdict: str) -> tuple[Study, Findings, list[ReportObject]]:
        study = studies[style]
        findings = with_tracking(findings_of(study, verdict), _GROUP_KEY)
        context = context_of(study, settings=ReportSettings(objects=OBJECT_NAMES))
        return study, findings, build_report(findings, study.images, context)

    return build


def faults(study: Study, findings: Findings, objects: Sequence[ReportObject]) -> str:
    """What the self-check says; empty when it finds nothing."""
    try:
        check_objects(objects, study.images, study.images[min(study.images)], findings=findings)
    except ReportCheckError as error:
        return str(error)
    return ""
