"""What the document says: numbers, texts and the verdict."""

from pydicom.dataset import Dataset

from tests.node.report.defects.planting import Collection, Objects, find, remove, reword, say
from tests.node.report.report_sources import ROOT

COLLECTION = Collection()
defect = COLLECTION.defect


def measured(objects: Objects, meaning: str) -> Dataset:
    item: Dataset = find(objects["sr"], meaning).MeasuredValueSequence[0]
    return item


@defect("lesion 1 of the findings has another value of: Probability of cancer")
def probability_as_a_fraction(objects: Objects) -> None:
    say(measured(objects, "Probability of cancer"), "0.784")


@defect(r"content item \(111047, DCM\) is outside its range")
def probability_above_100(objects: Objects) -> None:
    say(measured(objects, "Probability of cancer"), "784.0")


@defect(r"content item \(111012, DCM\) is outside its range")
def certainty_below_0(objects: Objects) -> None:
    say(measured(objects, "Certainty of Finding"), "-1.0")


@defect(r"content item \(111047, DCM\) holds no number")
def probability_not_a_number(objects: Objects) -> None:
    measured(objects, "Probability of cancer")["NumericValue"]._value = "nan"


@defect("says one number as text and another as floating point")
def number_said_in_two_ways(objects: Objects) -> None:
    measured(objects, "Probability of cancer").FloatingPointValue = 7.84


@defect("counts no whole number")
def half_an_image(objects: Objects) -> None:
    say(measured(objects, "Images in the sequence"), "2.5")


@defect("the result of the patient has another value of: Overall Assessment")
def verdict_turned_around(objects: Objects) -> None:
    answer = find(objects["sr"], "Overall Assessment").ConceptCodeSequence[0]
    answer.CodeValue, answer.CodeMeaning = "30807003", "Benign"


@defect("the result of the patient has another value of: Probability of cancer")
def probability_of_the_patient_changed(objects: Objects) -> None:
    container = find(objects["sr"], "Qualitative Evaluations")
    say(find(container, "Probability of cancer").MeasuredValueSequence[0], "21.6")


@defect("its impression does not say MALIGNANT")
def impression_of_another_verdict(objects: Objects) -> None:
    reword(objects["sr"], "(AI): MALIGNANT", "(AI): BENIGN")


@defect("its run summary does not fit the verdict malignant")
def run_summary_without_findings(objects: Objects) -> None:
    answer = find(objects["sr"], "CAD Processing and Findings Summary").ConceptCodeSequence[0]
    answer.CodeValue, answer.CodeMeaning = "111241", "All algorithms succeeded; without findings"


@defect("its series description names another verdict than the report: malignant")
def series_description_of_another_verdict(objects: Objects) -> None:
    objects["sr"].SeriesDescription = "SpineNode WFF SR - benign"


@defect("its series description names another verdict than the report: malignant", kind="summary")
def picture_described_by_another_verdict(objects: Objects) -> None:
    objects["summary"].SeriesDescription = "SpineNode WFF summary - no lesion"


@defect(r"Result of one sequence: [\d.]+ has another value of: Assessment Category")
def result_of_a_sequence_turned_around(objects: Objects) -> None:
    result = find(objects["sr"], "Result of one sequence")
    answer = find(result, "Assessment Category").ConceptCodeSequence[0]
    answer.CodeValue, answer.CodeMeaning = "30807003", "Benign"


@defect("names other series than the findings as: Result of one sequence")
def result_of_a_sequence_lost(objects: Objects) -> None:
    remove(objects["sr"], "Result of one sequence", 1)


@defect(f"names {ROOT}.404, which is no series of the case")
def series_that_does_not_exist(objects: Objects) -> None:
    find(objects["sr"], "Series Instance UID").UID = f"{ROOT}.404"


@defect(f"names {ROOT}.404, which is no image of the case")
def clip_image_that_does_not_exist(objects: Objects) -> None:
    find(objects["sr"], "Image read by the sequence classifier").UID = f"{ROOT}.404"


@defect("does not say that it is for research use")
def research_use_not_told(objects: Objects) -> None:
    reword(objects["sr"], "For research use only", "For use")


@defect("has 0 of: intended use")
def intended_use_missing(objects: Objects) -> None:
    remove(objects["sr"], "Intended use")


@defect("does not say that a phantom trained its model")
def phantom_not_told(objects: Objects) -> None:
    reword(objects["sr"], "no clinical meaning", "much meaning")


@defect("has 0 of: training data")
def training_data_missing(objects: Objects) -> None:
    remove(objects["sr"], "Training data of the model")


@defect("its algorithm parameters do not name the weights")
def weights_not_named(objects: Objects) -> None:
    reword(objects["sr"], "bundle sha256", "bundle")
    reword(objects["sr"], "ab12cd34ef567890", "")


@defect("its reason does not fit the verdict not analysed", verdict="not_analysed")
def reason_not_told(objects: Objects) -> None:
    remove(objects["sr"], "Reason why the case was not analysed")


@defect("its boxes do not fit the verdict no lesion", verdict="malignant")
def negative_report_with_boxes(objects: Objects) -> None:
    answer = find(objects["sr"], "Overall Assessment").ConceptCodeSequence[0]
    answer.CodeValue, answer.CodingSchemeDesignator = "1305", "99SPINENODE"
    answer.CodeMeaning = "No lesion detected"


@defect(r"content item \(121073, DCM\) has no value of type TEXT", validators=("dciodvfy",))
def impression_empty(objects: Objects) -> None:
    find(objects["sr"], "Impression").TextValue = ""


@defect(r"content item \(, \) of type TEXT has no name", validators=("dcmtk",))
def content_item_without_a_name(objects: Objects) -> None:
    del find(objects["sr"], "Comment").ConceptNameCodeSequence


@defect("has no relationship to its parent", validators=("dcmtk", "dciodvfy"))
def relationship_missing(objects: Objects) -> None:
    del find(objects["sr"], "Impression").RelationshipType


@defect("has no relationship to its parent", validators=("dcmtk",))
def relationship_that_an_sr_does_not_know(objects: Objects) -> None:
    find(objects["sr"], "Impression").RelationshipType = "BELONGS TO"


@defect("is an empty container or one of unknown continuity", validators=("dciodvfy",))
def enumerated_value_that_does_not_exist(objects: Objects) -> None:
    find(objects["sr"], "Measurement Group").ContinuityOfContent = "MAYBE"


@defect("", validators=("pixelmed",))
def relationship_that_the_template_does_not_allow(objects: Objects) -> None:
    find(objects["sr"], "Finding Site").RelationshipType = "CONTAINS"
