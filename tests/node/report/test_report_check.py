"""What the self-check refuses and what it lets pass; the planted faults are in test_report_mutations."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
from pydicom.sr._concepts_dict import concepts as pydicom_concepts

from inference.findings import Box
from node.report import ReportCheckError, ReportObject, build_report
from node.report.check import check_objects
from node.report.check.vocabulary import VOCABULARY
from tests.node.report.report_sources import Study, context_of, findings_of

BuiltReport = Callable[[str, str], list[ReportObject]]


def test_a_box_that_the_model_puts_outside_the_image_is_refused(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    outside = replace(findings.lesions[0], box=Box(x0=50, y0=10, x1=70, y1=20))

    with pytest.raises(ReportCheckError, match="outside its image"):
        build_report(replace(findings, lesions=(outside,)), study.images, context_of(study))


def test_a_lesion_on_an_image_of_another_patient_is_refused(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    images = deepcopy(study.images)
    images[findings.lesions[-1].image.sop_instance_uid].PatientID = "P-0002"

    with pytest.raises(ReportCheckError, match="another PatientID"):
        build_report(findings, images, context_of(study))


def test_a_lesion_on_an_image_of_another_patient_id_is_accepted_where_a_person_released_it(
    studies: dict[str, Study],
) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    images = deepcopy(study.images)
    images[findings.lesions[-1].image.sop_instance_uid].PatientID = "P-0002"

    objects = build_report(findings, images, context_of(study, released=True))

    assert objects[0].kind == "sr"


def test_rounding_at_the_edge_of_the_image_is_accepted(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    edge = replace(findings.lesions[0], box=Box(x0=-1e-4, y0=0, x1=64.0001, y1=96))

    objects = build_report(replace(findings, lesions=(edge,)), study.images, context_of(study))

    assert objects[0].kind == "sr"


@pytest.mark.parametrize("description", ["AI of the spine", "tumour or none", "{object} {verdict}", "X" * 64])
def test_a_series_description_of_the_sites_own_words_is_accepted(studies: dict[str, Study], description: str) -> None:
    study = studies["classic"]
    context = context_of(study)
    settings = context.settings.model_copy(update={"series_description": description})

    objects = build_report(findings_of(study, "negative"), study.images, replace(context, settings=settings))

    assert {made.kind for made in objects} == {"sr", "summary"}


def test_without_findings_the_form_of_the_objects_is_judged(studies: dict[str, Study], report: BuiltReport) -> None:
    study, sr = studies["classic"], deepcopy(report("classic", "malignant")[0].dataset)
    objects = [ReportObject(kind="sr", dataset=sr)]
    check_objects(objects, study.images, study.images[min(study.images)])

    sr.PreliminaryFlag = "FINAL"

    with pytest.raises(ReportCheckError, match="claims to be verified or final"):
        check_objects(objects, study.images, study.images[min(study.images)])


def test_the_message_names_kind_and_uid_and_stays_readable(studies: dict[str, Study], report: BuiltReport) -> None:
    study, sr = studies["classic"], deepcopy(report("classic", "malignant")[0].dataset)
    uid = sr.SOPInstanceUID
    sr.ContentSequence = []

    with pytest.raises(ReportCheckError) as caught:
        check_objects([ReportObject(kind="sr", dataset=sr)], study.images, study.images[min(study.images)])

    faults = str(caught.value).split("; ")
    assert all(fault.startswith(f"sr {uid}: ") for fault in faults)
    assert len(faults) <= 21


def test_nothing_is_changed_by_being_checked(studies: dict[str, Study], report: BuiltReport) -> None:
    study, objects = studies["classic"], report("classic", "malignant")
    before = [made.dataset.to_json() for made in objects]

    check_objects(objects, study.images, study.images[min(study.images)])

    assert [made.dataset.to_json() for made in objects] == before


def test_the_vocabulary_says_what_the_standard_says() -> None:
    """pydicom's table is made from PS3.16 Annex D."""
    known = {
        value: meaning for by_value in pydicom_concepts["DCM"].values() for value, (meaning, _) in by_value.items()
    }
    ours = {value: meaning for (value, scheme), meaning in VOCABULARY.items() if scheme == "DCM"}

    assert len(ours) > 40
    assert ours == {value: known[value] for value in ours}
