"""Coded concepts: value, scheme and meaning."""

from tests.node.report.defects.planting import Collection, Objects, find

COLLECTION = Collection()
defect = COLLECTION.defect


@defect(r"code \(21594008, SCT\) is not in the vocabulary")
def code_value_mistyped(objects: Objects) -> None:
    find(objects["sr"], "Overall Assessment").ConceptCodeSequence[0].CodeValue = "21594008"


@defect(r"code \(21594007, SCT\) does not mean what the vocabulary says")
def code_with_another_meaning(objects: Objects) -> None:
    find(objects["sr"], "Overall Assessment").ConceptCodeSequence[0].CodeMeaning = "Benign"


@defect(r"code \(T-11500, SRT\) is not in the vocabulary")
def code_of_the_retired_snomed_scheme(objects: Objects) -> None:
    site = find(objects["sr"], "Finding Site").ConceptCodeSequence[0]
    site.CodeValue, site.CodingSchemeDesignator = "T-11500", "SRT"


@defect(r"code \(421060004, SRT\) is not in the vocabulary")
def snomed_ct_code_under_the_retired_scheme(objects: Objects) -> None:
    find(objects["sr"], "Finding Site").ConceptCodeSequence[0].CodingSchemeDesignator = "SRT"


@defect(r"code \(12738006, SCT\) is not in the vocabulary")
def code_of_the_brain(objects: Objects) -> None:
    site = find(objects["sr"], "Finding Site").ConceptCodeSequence[0]
    site.CodeValue, site.CodeMeaning = "12738006", "Brain"


@defect(r"code \(111048, DCM\) is not in the vocabulary")
def concept_name_mistyped(objects: Objects) -> None:
    find(objects["sr"], "Probability of cancer").ConceptNameCodeSequence[0].CodeValue = "111048"


@defect("Coding Scheme Identification does not name 99SPINENODE")
def private_scheme_not_identified(objects: Objects) -> None:
    del objects["sr"].CodingSchemeIdentificationSequence


@defect("Coding Scheme Identification does not name 99SPINENODE")
def another_private_scheme_identified(objects: Objects) -> None:
    objects["sr"].CodingSchemeIdentificationSequence[0].CodingSchemeDesignator = "99SPINE"


@defect(r"content item \(111005, DCM\) has a value that does not answer it")
def answer_to_another_question(objects: Objects) -> None:
    answer = find(objects["sr"], "Assessment Category").ConceptCodeSequence[0]
    answer.CodeValue, answer.CodeMeaning = "421060004", "Spine"


@defect(r"content item \(121058, DCM\) has a value that does not answer it")
def algorithm_as_the_reported_procedure(objects: Objects) -> None:
    """IHE AIR: the imaging procedure is reported, not the algorithm."""
    answer = find(objects["sr"], "Procedure reported").ConceptCodeSequence[0]
    answer.CodeValue, answer.CodingSchemeDesignator = "123110", "DCM"
    answer.CodeMeaning = "Artificial Intelligence"


@defect(r"content item \(111047, DCM\) is not in the unit %")
def probability_in_another_unit(objects: Objects) -> None:
    unit = find(objects["sr"], "Probability of cancer").MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
    unit.CodeValue, unit.CodeMeaning = "1", "no units"


@defect(r"content item \(111047, DCM\) is not in the unit %", validators=("dciodvfy",))
def probability_without_unit(objects: Objects) -> None:
    del find(objects["sr"], "Probability of cancer").MeasuredValueSequence[0].MeasurementUnitsCodeSequence


@defect("another purpose than processing")
def equipment_of_another_purpose(objects: Objects) -> None:
    """109101 is the acquisition equipment: the scanner."""
    purpose = objects["sr"].ContributingEquipmentSequence[1].PurposeOfReferenceCodeSequence[0]
    purpose.CodeValue, purpose.CodeMeaning = "109101", "Acquisition Equipment"
