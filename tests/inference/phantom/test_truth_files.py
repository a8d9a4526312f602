"""The truth beside the images: four kinds that say the same, and truth.json that says all."""

import json
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from inference.findings import Box, Verdict
from inference.phantom import PhantomPatient
from inference.phantom.dicom import StudyForm
from inference.phantom.dicom.habits import PLAIN, Habits
from inference.phantom.dicom.study import write_file
from inference.phantom.truth.coco import joined
from inference.phantom.truth.labelled_images import lesion_boxes, lesion_mask
from inference.phantom.truth.objects import WrittenStudy
from inference.phantom.truth.pathology import pathology_table
from inference.phantom.truth.write import TruthKind, write_truth
from tests import dciodvfy
from tests.inference.phantom.small_patients import lesion_free, with_lesion
from tests.validators import attribute_types, dcentvfy, dcmqi, dcmtk

ALL = tuple(TruthKind)
# Runs against the positions, so that a slice cannot be taken for its number
BACKWARDS = Habits(reversed_numbers=True)
FORMS = pytest.mark.parametrize("enhanced", [False, True], ids=["classic", "enhanced"])


def written(
    patient: PhantomPatient, folder: Path, *, enhanced: bool = False, habits: Habits = BACKWARDS
) -> dict[str, Path]:
    """Images and truth; the truth files by name."""
    study = WrittenStudy.of(patient, StudyForm(enhanced=enhanced, habits=habits))
    folder.mkdir(exist_ok=True)
    for file in study.files:
        write_file(file, folder)
    return {path.name: path for path in write_truth(study, folder, ALL)}


def planted(patient: PhantomPatient) -> list[tuple[int, int, Box]]:
    """(series number, slice in space, box) of all boxes."""
    return sorted(
        (
            (number, position, box)
            for number, series in enumerate(patient.series, start=1)
            for position, boxes in enumerate(series.boxes)
            for box in boxes
        ),
        key=repr,
    )


def place_of(patient: PhantomPatient, image: pydicom.Dataset, frame: int | None) -> tuple[int, int]:
    """(series number, slice in space) of an image, by its position in the patient."""
    groups = image if frame is None else image.PerFrameFunctionalGroupsSequence[frame - 1].PlanePositionSequence[0]
    here = np.array(groups.ImagePositionPatient, dtype=float)
    number = int(image.SeriesNumber)
    distances = np.linalg.norm(patient.series[number - 1].positions_mm - here, axis=1)
    assert distances.min() < 1e-6
    return number, int(distances.argmin())


def images_by_uid(folder: Path) -> dict[str, pydicom.Dataset]:
    images = (pydicom.dcmread(file) for file in folder.glob("series*.dcm") if "lesions" not in file.name)
    return {str(image.SOPInstanceUID): image for image in images}


@FORMS
def test_labelme_has_every_box_on_the_image_that_it_names(tmp_path: Path, enhanced: bool) -> None:
    patient = with_lesion(lesions=2)

    files = written(patient, tmp_path, enhanced=enhanced)

    found = []
    for name, path in files.items():
        if name.startswith("series") and name.endswith(".json"):
            content = json.loads(path.read_text())
            stem, _, frame = content["imagePath"].rpartition(".")[0].partition("-frame")
            image = pydicom.dcmread(tmp_path / f"{stem}.dcm")
            assert (content["imageHeight"], content["imageWidth"]) == (image.Rows, image.Columns)
            assert path.stem == Path(content["imagePath"]).stem
            for shape in content["shapes"]:
                (x0, y0), (x1, y1) = shape["points"]
                assert (shape["shape_type"], shape["label"]) == ("rectangle", patient.truth.label)
                place = place_of(patient, image, int(frame) if enhanced else None)
                found.append((*place, Box(x0=x0, y0=y0, x1=x1, y1=y1)))
    assert sorted(found, key=repr) == planted(patient)


@FORMS
def test_coco_has_every_image_every_box_and_the_masks(tmp_path: Path, enhanced: bool) -> None:
    patient = with_lesion(lesions=2)

    content = json.loads(written(patient, tmp_path, enhanced=enhanced)["coco.json"].read_text())

    names = {image["id"]: image["file_name"] for image in content["images"]}
    categories = {category["id"]: category["name"] for category in content["categories"]}
    assert len(set(names.values())) == sum(len(series.pixels) for series in patient.series)
    found = []
    for one in content["annotations"]:
        stem, _, frame = names[one["image_id"]].rpartition(".")[0].partition("-frame")
        image = pydicom.dcmread(tmp_path / f"{stem}.dcm")
        number, position = place_of(patient, image, int(frame) if enhanced else None)
        mask = lesion_mask(patient.series[number - 1], one["attributes"]["lesion"])[position]
        assert np.array_equal(decoded(one["segmentation"]), mask)
        assert one["area"] == mask.sum()
        assert categories[one["category_id"]] == patient.truth.label
        x, y, width, height = one["bbox"]
        found.append((number, position, Box(x0=x, y0=y, x1=x + width, y1=y + height)))
    assert sorted(found, key=repr) == planted(patient)


def decoded(segmentation: dict[str, Any]) -> NDArray[np.bool_]:
    runs = segmentation["counts"]
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(segmentation["size"], order="F")


def test_coco_of_a_set_numbers_its_studies_through(tmp_path: Path) -> None:
    content = json.loads(written(with_lesion(), tmp_path)["coco.json"].read_text())

    whole = joined([("one", content), ("other", content)])

    for part in ("images", "annotations"):
        assert [one["id"] for one in whole[part]] == list(range(1, 2 * len(content[part]) + 1))
    last, again = whole["annotations"][-1], content["annotations"][-1]
    names = {image["id"]: image["file_name"] for image in whole["images"]}
    own = {image["id"]: image["file_name"] for image in content["images"]}
    assert names[last["image_id"]] == f"other/{own[again['image_id']]}"
    assert last["bbox"] == again["bbox"]


@FORMS
def test_a_segmentation_has_the_planted_pixels_of_every_labelled_slice(tmp_path: Path, enhanced: bool) -> None:
    patient = with_lesion(lesions=2)

    files = written(patient, tmp_path, enhanced=enhanced)

    images = images_by_uid(tmp_path)
    for number, series in enumerate(patient.series, start=1):
        segmentation = highdicom.seg.segread(files[f"series{number:02d}-lesions.dcm"])
        lesions = [int(one.TrackingID.split()[-1]) for one in segmentation.SegmentSequence]
        seen: set[tuple[int, int]] = set()
        for stored, frame in zip(segmentation.pixel_array, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
            (source,) = frame.DerivationImageSequence[0].SourceImageSequence
            image = images[source.ReferencedSOPInstanceUID]
            _, position = place_of(patient, image, source.ReferencedFrameNumber if enhanced else None)
            lesion = lesions[frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber - 1]
            mask = lesion_mask(series, lesion)[position]
            assert not (stored.astype(bool) & ~mask).any()
            assert not (large_parts(mask) & ~stored.astype(bool)).any()
            seen.add((position, lesion))
        drawn = {(place, one.lesion) for place, boxes in enumerate(lesion_boxes(series)) for one in boxes}
        assert seen == drawn


def large_parts(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected parts that are at least 3 pixels wide and high."""
    parts, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    places = enumerate(ndimage.find_objects(parts), start=1)
    return np.isin(parts, [n for n, (y, x) in places if min(y.stop - y.start, x.stop - x.start) >= 3])


@FORMS
def test_the_report_has_every_box_on_its_image_with_the_uid_of_its_lesion(tmp_path: Path, enhanced: bool) -> None:
    patient = with_lesion(lesions=2)

    files = written(patient, tmp_path, enhanced=enhanced)

    images = images_by_uid(tmp_path)
    report = highdicom.sr.srread(files["planted-lesions.dcm"])
    uids = json.loads(files["truth.json"].read_text())["tracking_uids"]
    found, tracked = [], set()
    for group in report.content.get_planar_roi_measurement_groups():
        roi = group.roi
        reference = roi.ContentSequence[0].ReferencedSOPSequence[0]
        frame = reference.ReferencedFrameNumber if enhanced else None
        place = place_of(patient, images[reference.ReferencedSOPInstanceUID], frame)
        x, y = roi.value[:, 0], roi.value[:, 1]
        found.append((*place, Box(x0=float(x.min()), y0=float(y.min()), x1=float(x.max()), y1=float(y.max()))))
        tracked.add(group.tracking_uid)
    assert sorted(found, key=repr) == planted(patient)
    assert len(uids) == len(patient.truth.lesions)
    assert tracked <= set(uids)
    segments = highdicom.seg.segread(files["series01-lesions.dcm"]).SegmentSequence
    assert {one.TrackingUID for one in segments} <= set(uids)


@FORMS
@pytest.mark.parametrize(
    "habits", [PLAIN, Habits(empty_type_2=True, implicit_vr=True, utf_8=True)], ids=["plain", "odd"]
)
def test_segmentations_and_reports_are_valid(tmp_path: Path, enhanced: bool, habits: Habits) -> None:
    if not dciodvfy.installed():
        pytest.skip("dciodvfy (dicom3tools) is not installed")

    for patient in (with_lesion(lesions=2), lesion_free()):
        files = written(patient, tmp_path / patient.patient_id, enhanced=enhanced, habits=habits)
        objects = {name: path for name, path in files.items() if name.endswith(".dcm")}

        assert {name: dciodvfy.errors_of(path) for name, path in objects.items()} == {name: [] for name in objects}


@FORMS
def test_other_validators_find_no_fault_either(tmp_path: Path, enhanced: bool) -> None:
    """DCMTK and dcmqi read the objects to their end, the attribute tables of the standard miss nothing in them."""
    validators = {"dcmtk": dcmtk, "dcmqi": dcmqi, "attribute types": attribute_types}
    if missing := [name for name, validator in validators.items() if not validator.installed()]:
        pytest.skip(f"not installed: {', '.join(missing)}")

    patient = with_lesion(lesions=2)
    files = written(patient, tmp_path, enhanced=enhanced, habits=PLAIN)

    report, segmentation = files["planted-lesions.dcm"], files["series01-lesions.dcm"]
    for path in (report, segmentation, next(tmp_path.glob("series01*.dcm"))):
        assert dcmtk.errors_of(path) == []
        assert attribute_types.errors_of(path) == []
    assert dcmqi.errors_of(report, len(planted(patient))) == []


@FORMS
def test_images_and_truth_agree_about_patient_study_and_space(tmp_path: Path, enhanced: bool) -> None:
    if not dcentvfy.installed():
        pytest.skip("dcentvfy (dicom3tools) is not installed")

    written(with_lesion(lesions=2), tmp_path, enhanced=enhanced, habits=PLAIN)

    assert dcentvfy.errors_of(sorted(tmp_path.glob("*.dcm"))) == []


def test_patient_and_study_are_the_same_in_images_and_truth(tmp_path: Path) -> None:
    files = written(with_lesion(), tmp_path, habits=Habits(empty_type_2=True, utf_8=True))

    image = pydicom.dcmread(tmp_path / "series01-001.dcm", stop_before_pixels=True)
    for name in ("planted-lesions.dcm", "series01-lesions.dcm"):
        truth = pydicom.dcmread(files[name])
        for keyword in ("PatientID", "PatientName", "PatientSex", "PatientAge", "StudyInstanceUID", "StudyDescription"):
            assert truth[keyword].value == image[keyword].value


def test_a_lesion_free_patient_has_a_report_that_says_so_and_no_box_anywhere(tmp_path: Path) -> None:
    files = written(lesion_free(), tmp_path)

    assert set(files) == {"truth.json", "coco.json", "planted-lesions.dcm"}
    assert json.loads(files["coco.json"].read_text())["annotations"] == []
    assert "No lesion planted" in str(pydicom.dcmread(files["planted-lesions.dcm"]))


@FORMS
def test_the_latent_truth_is_kept_beside_the_images(tmp_path: Path, enhanced: bool) -> None:
    patient = with_lesion(lesions=2)

    truth = json.loads(written(patient, tmp_path, enhanced=enhanced)["truth.json"].read_text())

    assert truth["notice"] == "synthetic phantom, no clinical meaning"
    assert (truth["seed"], truth["index"], truth["age_years"]) == (patient.seed, patient.index, patient.age_years)
    assert truth["truth"]["signs"] == patient.truth.signs
    assert [lesion["level"] for lesion in truth["truth"]["lesions"]] == [one.level for one in patient.truth.lesions]
    assert 0.0 <= truth["oracle_probability_malignant"]["signs_and_age"] <= 1.0
    for told, series in zip(truth["series"], patient.series, strict=True):
        assert told["kind"] == series.kind
        assert np.array(told["affine_lps"]) == pytest.approx(series.affine_lps)
        boxes = [
            tuple(Box(**{key: one[key] for key in ("x0", "y0", "x1", "y1")}) for one in image["boxes"])
            for image in told["images"]
        ]
        assert boxes == list(series.boxes)


@FORMS
def test_writing_twice_gives_the_same_bytes(tmp_path: Path, enhanced: bool) -> None:
    patient = with_lesion(lesions=2)

    first, second = (written(patient, tmp_path / name, enhanced=enhanced) for name in ("a", "b"))

    assert {name: path.read_bytes() for name, path in first.items()} == {
        name: path.read_bytes() for name, path in second.items()
    }


def test_pathology_tells_class_age_regions_site_and_kind() -> None:
    truths = [
        {"patient_id": "PH-1", "label": "malignant", "age_years": 61, "regions": ["thoracic", "lumbar"], "site": "a"},
        {"patient_id": "PH-2", "label": None, "age_years": 33, "regions": [], "site": "b"},
    ]

    table = pathology_table([{**truth, "family": "lytic" if truth["label"] else ""} for truth in truths])

    assert table.splitlines() == [
        "patient_id,label,age_years,regions,site,lesion_type",
        "PH-1,malignant,61,thoracic;lumbar,a,lytic",
        "PH-2,none,33,,b,",
    ]


def test_the_class_in_every_kind_of_truth_is_that_of_the_patient(tmp_path: Path) -> None:
    patient = with_lesion()
    assert patient.truth.label in tuple(Verdict)

    files = written(patient, tmp_path)

    meaning = {Verdict.BENIGN: "Benign", Verdict.MALIGNANT: "Malignant"}[patient.truth.label]
    other = {Verdict.BENIGN: "Malignant", Verdict.MALIGNANT: "Benign"}[patient.truth.label]
    report = str(pydicom.dcmread(files["planted-lesions.dcm"]))
    assert meaning in report
    assert other not in report
    segment = pydicom.dcmread(files["series01-lesions.dcm"]).SegmentSequence[0]
    assert segment.SegmentLabel.endswith(f", {patient.truth.label}")
