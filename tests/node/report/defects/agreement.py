"""The document against the findings: what is well formed, and says something else."""

from copy import deepcopy

from pydicom.dataset import Dataset

from config import codes
from tests.node.report.defects.planting import Collection, Objects, answer, find, remove, reword, say
from tests.node.report.report_sources import ROOT

COLLECTION = Collection()
defect = COLLECTION.defect


def of_patient(objects: Objects, meaning: str) -> Dataset:
    container = find(objects["sr"], "Qualitative Evaluations")
    return next(item for item in container.ContentSequence if item.ConceptNameCodeSequence[0].CodeMeaning == meaning)


def of_sequence(objects: Objects, meaning: str) -> Dataset:
    """In the result of the first sequence, which votes."""
    return find(find(objects["sr"], "Result of one sequence"), meaning)


def measure(item: Dataset, value: str) -> None:
    say(item.MeasuredValueSequence[0], value)


@defect("the result of the patient has another value of: Reason why the case was not", verdict="not_analysed")
def reason_changed(objects: Objects) -> None:
    answer(find(objects["sr"], "Reason why the case was not analysed"), codes.SOFTWARE_FAILURE)


@defect("names other series than the findings as: Series left out")
def left_out_series_dropped(objects: Objects) -> None:
    remove(objects["sr"], "Series left out")


@defect("Series left out: .* has another value of: Reason why the series was left out")
def left_out_for_another_reason(objects: Objects) -> None:
    answer(find(objects["sr"], "Reason why the series was left out"), codes.NOT_MR)


@defect("Series left out: .* has another value of: Instances in the series")
def left_out_with_fewer_instances(objects: Objects) -> None:
    measure(find(objects["sr"], "Instances in the series"), "16")


@defect("names other series than the findings as: Series used")
def used_series_dropped(objects: Objects) -> None:
    remove(objects["sr"], "Series used", 2)


@defect("names other series than the findings as: Series used")
def used_series_told_twice(objects: Objects) -> None:
    container = find(objects["sr"], "Qualitative Evaluations")
    container.ContentSequence.append(deepcopy(find(container, "Series used")))


@defect("Series used: .* has another value of: Weighting of the sequence")
def used_series_of_another_weighting(objects: Objects) -> None:
    answer(find(find(objects["sr"], "Series used"), "Weighting of the sequence"), codes.T2_WEIGHTED)


@defect("the result of the patient has another value of: Outcome of the vote", verdict="tie")
def tie_of_the_patient_called_a_majority(objects: Objects) -> None:
    answer(of_patient(objects, "Outcome of the vote"), codes.MAJORITY)


@defect("the result of the patient has another value of: Voting images that vote malignant")
def vote_fraction_changed(objects: Objects) -> None:
    measure(of_patient(objects, "Voting images that vote malignant"), "60.0")


@defect("the result of the patient has another value of: Subject Age")
def age_changed(objects: Objects) -> None:
    measure(of_patient(objects, "Subject Age"), "46")


@defect("the result of the patient has another value of: Malignant probability of the age group")
def age_probability_changed(objects: Objects) -> None:
    measure(of_patient(objects, "Malignant probability of the age group"), "87.0")


@defect("the result of the patient has another value of: Malignant probability of the age group")
def age_probability_lost(objects: Objects) -> None:
    remove(objects["sr"], "Malignant probability of the age group")


@defect("the result of the patient has another value of: CAD Processing and Findings Summary")
def run_called_incomplete(objects: Objects) -> None:
    """Although no series failed."""
    answer(of_patient(objects, "CAD Processing and Findings Summary"), codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS)


@defect("the result of the patient is summed up otherwise in the impression")
def impression_of_another_probability(objects: Objects) -> None:
    reword(objects["sr"], "Probability of malignancy 78.4 %.", "Probability of malignancy 21.6 %.")


@defect("the result of the patient is summed up otherwise in the impression")
def impression_of_other_votes(objects: Objects) -> None:
    reword(objects["sr"], "2 of 2 voting sequences", "1 of 2 voting sequences")


@defect("the result of the patient is summed up otherwise in the impression", verdict="tie")
def impression_that_hides_the_tie(objects: Objects) -> None:
    reword(objects["sr"], "The votes were tied; the mean probability decided for", "Decided for")


@defect("the result of the patient is summed up otherwise in the impression", verdict="negative")
def impression_of_more_images(objects: Objects) -> None:
    reword(objects["sr"], "15 images", "51 images")


@defect(r"Result of one sequence: [\d.]+ has another value of: Probability of cancer")
def probability_of_a_sequence_changed(objects: Objects) -> None:
    measure(of_sequence(objects, "Probability of cancer"), "21.6")


@defect(r"Result of one sequence: [\d.]+ has another value of: Malignant probability of the sequence classifier")
def classifier_probability_changed(objects: Objects) -> None:
    measure(of_sequence(objects, "Malignant probability of the sequence classifier"), "30.0")


@defect(r"Result of one sequence: [\d.]+ has another value of: Outcome of the vote")
def majority_of_a_sequence_called_a_tie(objects: Objects) -> None:
    answer(of_sequence(objects, "Outcome of the vote"), codes.TIE)


@defect(r"Result of one sequence: [\d.]+ has another value of: Images in the sequence")
def image_count_changed(objects: Objects) -> None:
    measure(of_sequence(objects, "Images in the sequence"), "6")


@defect(r"Result of one sequence: [\d.]+ has another value of: Voting images")
def voting_count_changed(objects: Objects) -> None:
    measure(of_sequence(objects, "Voting images"), "2")


@defect(r"Result of one sequence: [\d.]+ has another value of: Images voting malignant")
def malignant_count_changed(objects: Objects) -> None:
    measure(of_sequence(objects, "Images voting malignant"), "0")


@defect(r"Result of one sequence: [\d.]+ is summed up otherwise in its impression")
def impression_of_a_sequence_turned_around(objects: Objects) -> None:
    reword(objects["sr"], "T1: malignant.", "T1: benign.")


@defect("lesion 1 of the findings has another value of: Detector class, before the fusion")
def detector_class_changed(objects: Objects) -> None:
    answer(find(objects["sr"], "Detector class, before the fusion"), codes.BENIGN)


@defect("tells a region of the spine that .* does not name")
def finding_in_a_region_that_the_image_does_not_name(objects: Objects) -> None:
    answer(find(objects["sr"], "Finding Site"), codes.LUMBAR_SPINE)


@defect("its anatomic region is not the finding site of the structured report", kind="segmentation")
def segment_in_another_region(objects: Objects) -> None:
    region = objects["segmentation"].SegmentSequence[0].AnatomicRegionSequence[0]
    region.CodeValue, region.CodeMeaning = codes.LUMBAR_SPINE.value, codes.LUMBAR_SPINE.meaning


@defect("names another predecessor than the report of the revision before")
def predecessor_that_is_none_of_ours(objects: Objects) -> None:
    study, series, instance = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = objects["sr"].SOPClassUID
    instance.ReferencedSOPInstanceUID = f"{ROOT}.404.1.1"
    series.SeriesInstanceUID, series.ReferencedSOPSequence = f"{ROOT}.404.1", [instance]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = f"{ROOT}.404", [series]
    objects["sr"].PredecessorDocumentsSequence = [study]


@defect("answers a request that the images do not name")
def request_of_another_order(objects: Objects) -> None:
    request = Dataset()
    request.StudyInstanceUID, request.AccessionNumber = objects["sr"].StudyInstanceUID, "A1"
    request.RequestedProcedureID, request.RequestedProcedureDescription = "RP-2", "MRI of the hip"
    request.PlacerOrderNumberImagingServiceRequest = request.FillerOrderNumberImagingServiceRequest = ""
    request.ReferencedStudySequence = request.RequestedProcedureCodeSequence = []
    objects["sr"].ReferencedRequestSequence = [request]


@defect("ProtocolName is not what the settings say for the verdict malignant")
def rule_of_another_verdict_in_all_objects(objects: Objects) -> None:
    for dataset in objects.every():
        dataset.ProtocolName = "SPINENODE BENIGN"
