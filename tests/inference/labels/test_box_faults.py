"""Boxes that are missing, lie wrong or are not used: each fault says whose and where."""

import numpy as np
import pytest

from inference.findings import Box
from inference.labels.faults import FaultCode, PatientKey, Severity
from inference.labels.labelme import write_labelme
from tests.inference.labels.hospital_folder import LESION, SLICES, HospitalFolder, only
from tests.inference.mr_images import AXIAL, COLUMNS, ROWS, enhanced_mr, save, stored_pixels

A = PatientKey("A")


def test_a_lesion_without_any_box_is_an_error(hospital: HospitalFolder) -> None:
    hospital.patient("A", None)
    hospital.pathology("A,malignant")

    fault = only(hospital.faults())

    assert (fault.code, fault.patients) == (FaultCode.NO_BOX, (A,))


@pytest.mark.parametrize(
    ("box", "code"),
    [
        (Box(x0=5, y0=5, x1=COLUMNS + 4, y1=12), FaultCode.BOX_OUTSIDE_IMAGE),
        (Box(x0=-9, y0=5, x1=8, y1=12), FaultCode.BOX_OUTSIDE_IMAGE),
        (Box(x0=5, y0=ROWS + 40, x1=9, y1=ROWS + 50), FaultCode.BOX_OUTSIDE_IMAGE),
        (Box(x0=5, y0=5, x1=7.9, y1=12), FaultCode.BOX_WITHOUT_AREA),
        (Box(x0=5, y0=5, x1=5, y1=5), FaultCode.BOX_WITHOUT_AREA),
        (Box(x0=COLUMNS - 2, y0=5, x1=COLUMNS + 1, y1=12), FaultCode.BOX_WITHOUT_AREA),
    ],
)
def test_a_bad_box_is_an_error_that_names_file_series_and_slice(
    hospital: HospitalFolder, box: Box, code: FaultCode
) -> None:
    images = hospital.patient("A")
    hospital.labelme(images[3], box)

    fault = only(hospital.faults())

    assert (fault.code, fault.patients) == (code, (A,))
    assert (fault.place.file, fault.place.series_number, fault.place.slice) == ("A/series1-3.json", 1, 4)
    assert fault.place.sop_instance_uid == "1.2.826.0.1.1.4"


def test_a_box_that_ends_less_than_a_pixel_outside_is_cut_at_the_edge(hospital: HospitalFolder) -> None:
    images = hospital.patient("A")
    hospital.labelme(images[3], Box(x0=-0.5, y0=4, x1=COLUMNS + 0.75, y1=ROWS + 1))

    checked = hospital.check()

    assert checked.faults == ()
    stack = checked.patients[0].stacks[0]
    assert stack.boxes[3] == (Box(x0=0, y0=4, x1=COLUMNS, y1=ROWS),)


def test_an_annotation_without_image_is_an_error(hospital: HospitalFolder) -> None:
    images = hospital.patient("A")
    images[3].unlink()

    fault = only(hospital.faults())

    assert (fault.code, fault.patients) == (FaultCode.ANNOTATION_WITHOUT_IMAGE, (A,))
    assert fault.place.file == f"A/{images[3].stem}.json"


def test_an_annotation_without_image_in_a_folder_without_images_is_an_error_of_nobody(
    hospital: HospitalFolder,
) -> None:
    images = hospital.patient("A")
    (hospital.root / "labels").mkdir()
    images[3].with_suffix(".json").rename(hospital.root / "labels" / "lost.json")

    checked = hospital.check()

    assert [fault.code for fault in checked.errors_of_nobody] == [FaultCode.ANNOTATION_WITHOUT_IMAGE]
    assert checked.faulty == set()


def test_broken_json_is_an_error_of_the_patient_whose_image_it_lies_beside(hospital: HospitalFolder) -> None:
    images = hospital.patient("A")
    images[3].with_suffix(".json").write_text('{"shapes": [')

    fault = only(hospital.faults())

    assert (fault.code, fault.patients) == (FaultCode.ANNOTATION_UNREADABLE, (A,))


def test_broken_json_that_no_image_has_the_name_of_is_an_error_of_the_patients_in_its_folder(
    hospital: HospitalFolder,
) -> None:
    hospital.patient("A")
    hospital.patient("B")
    (hospital.root / "A" / "lost.json").write_text('{"shapes": [')

    fault = only(hospital.faults())

    assert (fault.code, fault.patients) == (FaultCode.ANNOTATION_UNREADABLE, (A,))


def test_a_copied_annotation_that_still_names_the_first_image_is_an_error_and_names_both(
    hospital: HospitalFolder,
) -> None:
    """Else the slice beside the copy would be a slice without a lesion."""
    images = hospital.series("A")
    drawn = hospital.labelme(images[2])
    images[3].with_suffix(".json").write_text(drawn.read_text())

    fault = only(hospital.faults())

    assert (fault.code, fault.severity) == (FaultCode.ANNOTATION_IMAGE_DOUBTFUL, Severity.ERROR)
    assert (fault.patients, fault.place.file) == ((A,), "A/series1-3.json")
    assert "A/series1-4.dcm" in fault.what
    assert "A/series1-3.dcm" in fault.what


def test_an_annotation_beside_one_patients_image_that_names_anothers_is_an_error_of_both(
    hospital: HospitalFolder,
) -> None:
    other = hospital.patient("A")[1]
    images = hospital.patient("B")
    write_labelme(
        images[1].with_suffix(".json"), f"../A/{other.name}", [LESION], label="benign", rows=ROWS, columns=COLUMNS
    )

    fault = only(hospital.faults())

    assert (fault.code, fault.patients) == (FaultCode.ANNOTATION_IMAGE_DOUBTFUL, (A, PatientKey("B")))


def test_a_second_labelme_file_of_an_image_is_an_error_of_nobody_knows_whom(hospital: HospitalFolder) -> None:
    """In a folder of annotations alone, a copy whose `imagePath` was not changed: whose box is missing?"""
    images = hospital.series("A")
    hospital.patient("B")
    drawn = hospital.labelme(images[2])
    labels = hospital.root / "labels"
    labels.mkdir()
    for name in ("a.json", "b.json"):
        (labels / name).write_text(drawn.read_text().replace(images[2].name, f"../A/{images[2].name}"))
    drawn.unlink()

    checked = hospital.check()

    fault = only(checked.errors_of_nobody)
    assert (fault.code, fault.place.file) == (FaultCode.ANNOTATION_IMAGE_DOUBTFUL, "labels/b.json")
    assert "labels/a.json" in fault.what


def test_a_second_labelme_file_of_an_image_is_an_error_of_the_patients_in_its_folder_and_of_the_image(
    hospital: HospitalFolder,
) -> None:
    images = hospital.patient("A")
    hospital.patient("B")
    (hospital.root / "B" / "copy.json").write_text(
        images[2].with_suffix(".json").read_text().replace(images[2].name, f"../A/{images[2].name}")
    )

    fault = only(hospital.faults())

    assert (fault.code, fault.patients) == (FaultCode.ANNOTATION_IMAGE_DOUBTFUL, (A, PatientKey("B")))


def test_a_slice_without_box_between_slices_with_boxes_is_a_warning(hospital: HospitalFolder) -> None:
    images = hospital.patient("A")
    hospital.labelme(images[5])  # 2 and 3 have boxes, too

    fault = only(hospital.faults())

    assert (fault.code, fault.severity, fault.place.slice) == (FaultCode.BOX_GAP, Severity.WARNING, 5)


def test_a_series_without_box_beside_one_with_boxes_is_a_warning(hospital: HospitalFolder) -> None:
    hospital.patient("A")
    hospital.series("A")

    fault = only(hospital.faults())

    assert (fault.code, fault.place.series_number) == (FaultCode.SERIES_WITHOUT_BOX, 2)


def test_a_series_of_another_plane_is_told_with_the_reason_and_its_boxes_are_not_used(
    hospital: HospitalFolder,
) -> None:
    hospital.patient("A")
    axial = hospital.series("A", ImageOrientationPatient=list(AXIAL))
    hospital.labelme(axial[2])
    hospital.labelme(axial[3])

    unread, info = hospital.faults()

    assert (unread.code, unread.severity, unread.place.series_number) == (
        FaultCode.BOX_NOT_USED,
        Severity.WARNING,
        2,
    )
    assert "2 boxes" in unread.what
    assert (info.code, info.severity) == (FaultCode.SERIES_NOT_ELIGIBLE, Severity.INFO)
    assert "wrong_plane" in info.what


def test_a_lesion_with_boxes_on_unread_images_only_has_no_box(hospital: HospitalFolder) -> None:
    hospital.series("A")
    axial = hospital.series("A", ImageOrientationPatient=list(AXIAL))
    hospital.labelme(axial[2])

    assert {fault.code for fault in hospital.check().faults if fault.severity is Severity.ERROR} == {FaultCode.NO_BOX}


def test_enhanced_mr_frames_carry_their_boxes_to_the_right_slices(hospital: HospitalFolder) -> None:
    order = [2, 0, 5, 1, 4, 3]
    dataset = enhanced_mr(np.stack([stored_pixels(k) for k in range(SLICES)]), order)
    dataset.PatientID, dataset.PatientName, dataset.PatientAge = "A", "A^B", "050Y"
    save(dataset, hospital.root / "many.dcm")
    drawn = hospital.root / "many-frame3.json"  # frame 3 shows the last slice
    write_labelme(drawn, "many-frame3.png", [LESION], label="benign", rows=ROWS, columns=COLUMNS)

    [patient] = hospital.check().patients

    assert [len(boxes) for boxes in patient.stacks[0].boxes] == [0, 0, 0, 0, 0, 1]
