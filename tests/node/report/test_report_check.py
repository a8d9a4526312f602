"""What the self-check refuses and what it lets pass; the planted faults are in test_report_mutations."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sr._concepts_dict import concepts as pydicom_concepts
from pydicom.uid import Comprehensive3DSRStorage

from config.reporting import ReportSettings, RuleSettings
from inference.findings import Box
from node.report import ReportCheckError, ReportObject, build_report
from node.report.check import check_objects
from node.report.check.vocabulary import VOCABULARY
from tests.node.report.report_sources import ROOT, Study, context_of, findings_of


@dataclass(frozen=True, kw_only=True)
class Replaced:
    """The structured report of the revision before."""

    sop_instance_uid: str
    sop_class_uid: str = Comprehensive3DSRStorage
    series_instance_uid: str = f"{ROOT}.8.1"
    study_instance_uid: str = f"{ROOT}.1"


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


def test_a_report_without_a_lesion_names_no_image_of_another_patient(studies: dict[str, Study]) -> None:
    study = studies["classic"]
    images = deepcopy(study.images)
    images[max(images)].PatientID = "P-0002"
    context = context_of(study, settings=ReportSettings(objects=()))

    with pytest.raises(ReportCheckError, match=r"its evidence .* is an image of another PatientID or issuer"):
        build_report(findings_of(study, "negative"), images, context)


def test_a_lesion_on_an_image_of_a_patient_of_another_issuer_is_refused(studies: dict[str, Study]) -> None:
    """Two hospitals may give one number to two patients."""
    study = studies["classic"]
    findings = findings_of(study, "malignant")
    images = deepcopy(study.images)
    images[findings.lesions[-1].image.sop_instance_uid].IssuerOfPatientID = "HOSPITAL-B"

    with pytest.raises(ReportCheckError, match="another PatientID or issuer"):
        build_report(findings, images, context_of(study))

    assert build_report(findings, images, context_of(study, released=True))[0].kind == "sr"


def test_a_report_that_replaces_none_or_another_one_is_refused(studies: dict[str, Study]) -> None:
    study, findings = studies["classic"], findings_of(studies["classic"], "negative")
    replaced, another = (Replaced(sop_instance_uid=f"{ROOT}.8.1.{number}") for number in (1, 2))
    context = context_of(study, revision=2, predecessor=replaced, settings=ReportSettings(objects=()))
    sr = build_report(findings, study.images, context)
    source = study.images[min(study.images)]

    assert check_objects(sr, study.images, source, predecessor=replaced)
    for predecessor in (None, another):
        with pytest.raises(ReportCheckError, match="another predecessor"):
            check_objects(sr, study.images, source, predecessor=predecessor)


@pytest.mark.parametrize(
    ("keyword", "told"),
    [
        ("RequestedProcedureID", "answers a request that the images do not name"),
        ("AccessionNumber", "AccessionNumber of the request that it answers differs"),
        ("StudyInstanceUID", "StudyInstanceUID of the request that it answers differs"),
    ],
)
def test_a_report_that_answers_another_request_is_refused(studies: dict[str, Study], keyword: str, told: str) -> None:
    study, request = studies["classic"], Dataset()
    request.RequestedProcedureID, request.RequestedProcedureDescription = "RP-1", "MRI of the spine"
    images = deepcopy(study.images)
    for image in images.values():
        image.RequestAttributesSequence = [request]
    (made,) = build_report(
        findings_of(study, "negative"), images, context_of(study, settings=ReportSettings(objects=()))
    )
    source = images[min(images)]

    setattr(made.dataset.ReferencedRequestSequence[0], keyword, "1.2.3")

    with pytest.raises(ReportCheckError, match=told):
        check_objects([made], images, source)


def test_attributes_of_the_rules_are_those_of_the_verdict_in_every_object(studies: dict[str, Study]) -> None:
    study, findings = studies["classic"], findings_of(studies["classic"], "malignant")
    ours = RuleSettings(malignant={"ProtocolName": "KRÄTZ 1"}, benign={"ProtocolName": "KRÄTZ 2", "StationName": "B"})
    settings = ReportSettings(rules=ours, character_set="source")
    objects = build_report(findings, study.images, context_of(study, settings=settings))
    copies = [ReportObject(kind=made.kind, dataset=deepcopy(made.dataset)) for made in objects]
    source = study.images[min(study.images)]

    for made in copies:
        made.dataset.StationName = "B"

    check_objects(objects, study.images, source, rules=ours)
    with pytest.raises(ReportCheckError, match="StationName is not what the settings say for the verdict malignant"):
        check_objects(copies, study.images, source, rules=ours)
    with pytest.raises(ReportCheckError, match="ProtocolName is not what the settings say for the verdict malignant"):
        check_objects(objects, study.images, source, rules=RuleSettings())


def test_an_overlay_may_be_missing_only_where_the_report_says_so(studies: dict[str, Study], tmp_path: Path) -> None:
    study, findings = studies["classic"], findings_of(studies["classic"], "malignant")
    cut = tmp_path / "cut.dcm"
    first = findings.lesions[0].image.sop_instance_uid
    cut.write_bytes(study.files[first].read_bytes()[:-4000])
    objects = build_report(findings, study.images, context_of(study, files=study.files | {first: cut}))
    pictures = [made for made in objects if made.kind == "overlay"]
    source = study.images[min(study.images)]

    assert check_objects([objects[0], *pictures], study.images, source)
    with pytest.raises(ReportCheckError, match="lacks 2 of 3 images with a box, and the report does not tell"):
        check_objects([objects[0], pictures[0]], study.images, source)


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
