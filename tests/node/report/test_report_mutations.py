"""Every planted fault is noticed before a report leaves; a good report has none."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from config.reporting import RuleSettings
from inference.findings import Findings
from node.report import ReportCheckError, ReportObject
from node.report.check import check_objects
from tests import dciodvfy
from tests.node.report.conftest import STYLES, VERDICTS
from tests.node.report.defects import DEFECTS, Defect, Objects
from tests.node.report.report_sources import Study
from tests.node.report.whole_reports import WholeReport, whole_reports
from tests.validators import dcmtk, pixelmed

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # it warns of some of the planted faults

PATIENT = ("P-000", "Doe", "Roe", "19620304", "19620305", "A1", "A2", "hospital")
WITHOUT_LESIONS = {"sr", "summary", "pdf"}
WITH_LESIONS = WITHOUT_LESIONS | {"overlay", "overlay_frames", "presentation_state", "key_objects", "segmentation"}

RULES = RuleSettings()
TOLD = [one for one in DEFECTS if one.told]
SEEN = [(one, validator) for one in DEFECTS for validator in one.validators]
INSTALLED = {"dciodvfy": dciodvfy.installed, "dcmtk": dcmtk.installed, "pixelmed": pixelmed.installed}


@pytest.fixture(scope="module")
def whole_report(tmp_path_factory: pytest.TempPathFactory) -> WholeReport:
    return whole_reports(tmp_path_factory.mktemp("reports"))


def faults(study: Study, findings: Findings, objects: Sequence[ReportObject]) -> str:
    """What the self-check says; empty when it finds nothing."""
    try:
        check_objects(objects, study.images, study.images[min(study.images)], findings=findings, rules=RULES)
    except ReportCheckError as error:
        return str(error)
    return ""


def complaints(validator: str, path: Path) -> list[str]:
    if validator == "dciodvfy":
        return dciodvfy.errors_of(path)
    return dcmtk.errors_of(path) if validator == "dcmtk" else pixelmed.errors_of([path])[path]


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("style", STYLES)
def test_a_good_report_has_no_fault(whole_report: WholeReport, style: str, verdict: str) -> None:
    study, findings, objects = whole_report(style, verdict)

    assert faults(study, findings, objects) == ""
    assert {made.kind for made in objects} == (WITH_LESIONS if findings.lesions else WITHOUT_LESIONS)


@pytest.mark.parametrize("defect", TOLD, ids=lambda defect: defect.name)
def test_the_self_check_notices_and_names_no_patient(whole_report: WholeReport, defect: Defect) -> None:
    study, findings, good = whole_report(defect.style, defect.verdict)
    objects = Objects(good)

    defect.plant(objects)

    said = faults(study, findings, objects.planted())
    assert re.search(defect.told, said)
    assert not any(word in said for word in PATIENT)


@pytest.mark.parametrize(("defect", "validator"), SEEN, ids=[f"{one.name}-{validator}" for one, validator in SEEN])
def test_an_independent_validator_notices(
    whole_report: WholeReport, tmp_path: Path, defect: Defect, validator: str
) -> None:
    if not INSTALLED[validator]():
        pytest.skip(f"{validator} is not installed")
    _, _, good = whole_report(defect.style, defect.verdict)
    objects, path = Objects(good), tmp_path / "planted.dcm"

    defect.plant(objects)

    objects[defect.kind].save_as(path, enforce_file_format=True)
    assert complaints(validator, path)


def test_every_defect_has_somebody_who_must_notice_it_and_a_name_of_its_own() -> None:
    assert all(one.told or one.validators for one in DEFECTS)
    assert [name for name, count in Counter(one.name for one in DEFECTS).items() if count > 1] == []
