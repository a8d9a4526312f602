"""Attributes that every object has: patient, study, series, equipment, characters."""

from copy import deepcopy

from tests.node.report.defects.planting import Collection, Objects, find
from tests.node.report.report_sources import ROOT

COLLECTION = Collection()
defect = COLLECTION.defect


@defect("PatientID differs from the source images'")
def another_patient(objects: Objects) -> None:
    objects["sr"].PatientID = "P-0002"


@defect("IssuerOfPatientID differs from the source images'")
def patient_of_another_hospital(objects: Objects) -> None:
    objects["sr"].IssuerOfPatientID = "Another hospital"


@defect("PatientName differs from the source images'")
def name_of_another_patient(objects: Objects) -> None:
    objects["sr"].PatientName = "Roe^Richard"


@defect("PatientBirthDate differs from the source images'")
def birth_date_of_another_patient(objects: Objects) -> None:
    objects["sr"].PatientBirthDate = "19620305"


@defect("PatientSex is missing", validators=("dciodvfy",))
def sex_missing(objects: Objects) -> None:
    del objects["sr"].PatientSex


@defect("StudyInstanceUID differs from the source images'")
def another_study(objects: Objects) -> None:
    objects["sr"].StudyInstanceUID = f"{ROOT}.404"


@defect("AccessionNumber differs from the source images'")
def another_order(objects: Objects) -> None:
    objects["sr"].AccessionNumber = "A2"


@defect("PatientID differs from the first object's")
def two_patients_in_one_report(objects: Objects) -> None:
    objects["summary"].PatientID = "P-0002"


@defect("StudyDescription differs from the first object's")
def two_descriptions_of_one_study(objects: Objects) -> None:
    objects["overlay"].StudyDescription = ""


@defect("another object has the same SOP Instance UID")
def one_uid_for_two_objects(objects: Objects) -> None:
    objects["overlay"].SOPInstanceUID = objects["sr"].SOPInstanceUID


@defect("another object has the same SOP Instance UID")
def uid_of_a_source_image(objects: Objects) -> None:
    objects["sr"].SOPInstanceUID = f"{ROOT}.1.1.1"


@defect("SOPInstanceUID is missing or no valid UID")
def uid_with_a_leading_zero(objects: Objects) -> None:
    objects["sr"].SOPInstanceUID = "2.25.0123"


@defect("SeriesInstanceUID is missing or no valid UID")
def uid_of_more_than_64_characters(objects: Objects) -> None:
    objects["sr"]["SeriesInstanceUID"]._value = f"2.25.{'9' * 60}"


@defect("its SeriesInstanceUID and that of the sr: one series of each kind is wanted")
def two_kinds_in_one_series(objects: Objects) -> None:
    objects["overlay"].SeriesInstanceUID = objects["sr"].SeriesInstanceUID


@defect("its SeriesNumber and that of the sr: one number for each kind is wanted")
def one_series_number_for_two_kinds(objects: Objects) -> None:
    objects["overlay"].SeriesNumber = objects["sr"].SeriesNumber


@defect("stands in a series of the source images")
def object_in_a_series_of_the_scanner(objects: Objects) -> None:
    objects["sr"].SeriesInstanceUID = f"{ROOT}.1.1"


@defect("SOP Class 1.2.840.10008.5.1.4.1.1.88.11 is none that the node makes")
def sop_class_that_the_node_does_not_make(objects: Objects) -> None:
    objects["sr"].SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"


@defect("is of another SOP Class than its kind")
def sop_class_of_another_kind(objects: Objects) -> None:
    objects["overlay"].SOPClassUID = objects["overlay_frames"].SOPClassUID


@defect("Modality is not SR")
def modality_of_the_scanner(objects: Objects) -> None:
    objects["sr"].Modality = "MR"


@defect("SeriesNumber is missing")
def series_number_missing(objects: Objects) -> None:
    del objects["sr"].SeriesNumber


@defect("ProtocolName differs from the first object's")
def rule_of_another_verdict(objects: Objects) -> None:
    objects["summary"].ProtocolName = "SPINENODE BENIGN"


@defect("names 3 contributing equipments for 3 components and their whole")
def component_missing(objects: Objects) -> None:
    del objects["sr"].ContributingEquipmentSequence[2]


@defect("a contributing equipment lacks DeviceUID")
def component_without_device_uid(objects: Objects) -> None:
    del objects["sr"].ContributingEquipmentSequence[1].DeviceUID


@defect("two contributing equipments have the same DeviceUID")
def one_device_uid_for_two_components(objects: Objects) -> None:
    one, other = objects["sr"].ContributingEquipmentSequence[1:3]
    other.DeviceUID = one.DeviceUID


@defect("component detector is not among the contributing equipment")
def component_of_another_name(objects: Objects) -> None:
    objects["sr"].ContributingEquipmentSequence[1].ManufacturerModelName = "SpineNode WFF selector"


@defect("the equipment of the series is not among the contributing equipment")
def equipment_of_another_model(objects: Objects) -> None:
    objects["sr"].DeviceUID = "2.25.4711"


@defect(r"content item \(121015, DCM\) and ManufacturerModelName differ")
def observer_of_another_model_name(objects: Objects) -> None:
    find(objects["sr"], "Device Observer Model Name").TextValue = "SpineNode"


@defect(r"content item \(111003, DCM\) and SoftwareVersions differ")
def algorithm_of_another_version(objects: Objects) -> None:
    find(objects["sr"], "Algorithm Version").TextValue = "0.1.0"


@defect("Manufacturer of the series and of the contributing equipment differ")
def maker_of_the_library(objects: Objects) -> None:
    objects["sr"].Manufacturer = "highdicom"


@defect("a contributing equipment does not say that it is for research use")
def component_without_its_intended_use(objects: Objects) -> None:
    del objects["sr"].ContributingEquipmentSequence[3].ContributionDescription


@defect("SpecificCharacterSet is missing", validators=("dciodvfy",))
def character_set_not_declared(objects: Objects) -> None:
    find(objects["sr"], "Comment").TextValue = "Für die Forschung"
    del objects["sr"].SpecificCharacterSet


@defect("SpecificCharacterSet names an unknown character set")
def character_set_that_does_not_exist(objects: Objects) -> None:
    objects["sr"].SpecificCharacterSet = "UTF-8"


@defect("TextValue is not read back as it was meant")
def text_that_the_character_set_does_not_have(objects: Objects) -> None:
    find(objects["sr"], "Comment").TextValue = "脊椎"
    objects["sr"].SpecificCharacterSet = "ISO_IR 100"


@defect("cannot be written and read back")
def value_that_cannot_be_written(objects: Objects) -> None:
    objects["overlay"]["Rows"]._value = "many"


@defect("ContributingEquipmentSequence|the equipment of the series is not among the contributing equipment")
def no_equipment_at_all(objects: Objects) -> None:
    del objects["sr"].ContributingEquipmentSequence


@defect("", validators=("dciodvfy",))
def date_of_another_form(objects: Objects) -> None:
    for keyword in ("ContentDate", "SeriesDate"):
        objects["sr"][keyword]._value = "2026-03-04"


@defect("has the same Instance Number")
def two_first_objects_of_a_series(objects: Objects) -> None:
    twin = deepcopy(objects["overlay"])
    objects["overlay_frames"].SeriesInstanceUID = twin.SeriesInstanceUID
