"""The document as a whole: title, templates, flags, observer and evidence."""

from copy import deepcopy

from pydicom.dataset import Dataset

from tests.node.report.defects.planting import Collection, Objects, find, remove
from tests.node.report.report_sources import ROOT

COLLECTION = Collection()
defect = COLLECTION.defect


def evidence(objects: Objects, series: int = 0) -> Dataset:
    item: Dataset = objects["sr"].CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[series]
    return item


@defect("has 4 boxes, but the title 126001")
def title_of_a_report_without_boxes(objects: Objects) -> None:
    title = objects["sr"].ConceptNameCodeSequence[0]
    title.CodeValue, title.CodeMeaning = "126001", "Oncology Measurement Report"


@defect("TemplateIdentifier is not 1500 of DCMR")
def root_template_of_a_group(objects: Objects) -> None:
    objects["sr"].ContentTemplateSequence[0].TemplateIdentifier = "1410"


@defect("TemplateIdentifier is not 1500 of DCMR", validators=("dciodvfy",))
def template_of_no_resource(objects: Objects) -> None:
    del objects["sr"].ContentTemplateSequence[0].MappingResource


@defect("claims template 1501, which the node does not write")
def template_that_is_not_followed(objects: Objects) -> None:
    container = find(objects["sr"], "Qualitative Evaluations")
    container.ContentTemplateSequence = deepcopy(objects["sr"].ContentTemplateSequence)
    container.ContentTemplateSequence[0].TemplateIdentifier = "1501"


@defect("claims to be verified or final", validators=("dciodvfy",))
def verified_by_nobody(objects: Objects) -> None:
    objects["sr"].VerificationFlag = "VERIFIED"


@defect("claims to be verified or final")
def final_without_a_reader(objects: Objects) -> None:
    objects["sr"].PreliminaryFlag = "FINAL"


@defect("its Completion Flag is not COMPLETE")
def result_marked_as_partial(objects: Objects) -> None:
    objects["sr"].CompletionFlag = "PARTIAL"


@defect("its Completion Flag is not PARTIAL", verdict="not_analysed")
def nothing_marked_as_complete(objects: Objects) -> None:
    objects["sr"].CompletionFlag = "COMPLETE"


@defect("has 0 of: language")
def language_missing(objects: Objects) -> None:
    remove(objects["sr"], "Language of Content Item and Descendants")


@defect("has 0 of: observer type")
def observer_missing(objects: Objects) -> None:
    for meaning in ("Type", "UID", "Name", "Manufacturer", "Model Name"):
        remove(objects["sr"], f"{'' if meaning == 'Type' else 'Device '}Observer {meaning}")


@defect("has 0 of: procedure reported")
def procedure_missing(objects: Objects) -> None:
    remove(objects["sr"], "Procedure reported")


@defect("has 2 of: overall assessment")
def two_verdicts(objects: Objects) -> None:
    container = find(objects["sr"], "Qualitative Evaluations")
    container.ContentSequence.append(deepcopy(find(container, "Overall Assessment")))


@defect("has 0 of: qualitative evaluations")
def result_of_the_patient_missing(objects: Objects) -> None:
    remove(objects["sr"], "Qualitative Evaluations")


@defect("refers to .*, which is not among its evidence", validators=("dciodvfy",))
def evidence_without_the_image_of_a_box(objects: Objects) -> None:
    del objects["sr"].CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]


@defect("of its study is not among its evidence")
def evidence_without_an_image_that_has_no_box(objects: Objects) -> None:
    del evidence(objects, 2).ReferencedSOPSequence[4]


@defect(f"its evidence {ROOT}.404 is no image of the case")
def evidence_of_nothing(objects: Objects) -> None:
    evidence(objects, 2).ReferencedSOPSequence[4].ReferencedSOPInstanceUID = f"{ROOT}.404"


@defect("stands 2 times among its evidence")
def evidence_told_twice(objects: Objects) -> None:
    evidence(objects).ReferencedSOPSequence.append(deepcopy(evidence(objects).ReferencedSOPSequence[0]))


@defect("stands in another study, series or SOP Class")
def evidence_in_another_series(objects: Objects) -> None:
    evidence(objects).SeriesInstanceUID = evidence(objects, 1).SeriesInstanceUID


@defect("stands in another study, series or SOP Class")
def evidence_in_another_study(objects: Objects) -> None:
    objects["sr"].CurrentRequestedProcedureEvidenceSequence[0].StudyInstanceUID = f"{ROOT}.404"
