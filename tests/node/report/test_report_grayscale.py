"""A presentation state shows the pixels as the pictures do, whatever rescaling and window the source has."""

import shutil
import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from config.settings import ReportSettings
from inference.findings import ImageReference, SequenceKind
from inference.heads import read_head
from inference.selection import EligibleSeries
from inference.stacks import stack_images
from inference.volume import load_volume, window_to_uint8
from node.report import build_report
from tests.node.report.report_sources import Study, classic_study, context_of, enhanced_study, findings_of

KINDS = list(SequenceKind)[:2]
Change = Callable[[Dataset, int], None]  # data set of a file, its place in the study from 0

needs_dcmtk = pytest.mark.skipif(shutil.which("dcmp2pgm") is None, reason="DCMTK is not installed (dcmp2pgm)")


def state_of(study: Study) -> Dataset:
    """The presentation state of the first series."""
    context = context_of(study, settings=ReportSettings(objects=("presentation_states",)))
    return build_report(findings_of(study, "malignant"), study.images, context)[1].dataset


def changed(study: Study, change: Change) -> Study:
    """The study with its files rewritten, headers read from them."""
    for number, (uid, path) in enumerate(study.files.items()):
        dataset = dcmread(path)
        change(dataset, number)
        dataset.save_as(path)
        study.images[uid] = dcmread(BytesIO(path.read_bytes()), stop_before_pixels=True)
    return study


def of_the_pictures(study: Study) -> dict[ImageReference, np.ndarray]:
    """(Y, X) gray values of the slices of the first series, as overlays and networks see them."""
    series = study.series[0]
    heads = [read_head(study.files[uid]) for uid in dict.fromkeys(image.sop_instance_uid for image in series.images)]
    slices = {one.slice.image: one.slice for one in stack_images(heads)[0]}
    stack = EligibleSeries(
        series_instance_uid=series.series_instance_uid,
        study_instance_uid=series.study_instance_uid,
        kind=series.kind,
        kind_evidence=series.kind_evidence,
        slices=tuple(slices[image] for image in series.images),
    )
    return dict(zip(series.images, window_to_uint8(load_volume(stack)), strict=True))


def of_dcmtk(state: Dataset, file: Path, frame: int | None, folder: Path) -> np.ndarray:
    """(Y, X) gray values that DCMTK shows through the presentation state."""
    state.save_as(folder / "state.dcm", enforce_file_format=True)
    frames = [] if frame is None else ["-f", str(frame)]
    command = ["dcmp2pgm", *frames, "-p", folder / "state.dcm", file, folder / "shown.pgm"]
    subprocess.run([str(part) for part in command], capture_output=True, timeout=60, check=True)
    return np.asarray(Image.open(folder / "shown.pgm"))


def as_it_is(_dataset: Dataset, _number: int) -> None:
    pass


def without_window(dataset: Dataset, _number: int) -> None:
    del dataset.WindowCenter, dataset.WindowWidth


def two_windows(dataset: Dataset, _number: int) -> None:
    dataset.WindowCenter, dataset.WindowWidth = [500, 90], [1000, 40]


def one_window_per_slice(dataset: Dataset, number: int) -> None:
    dataset.WindowCenter = 500 + 10 * number


def inverted(dataset: Dataset, _number: int) -> None:
    dataset.PhotometricInterpretation = "MONOCHROME1"


def rescaled(dataset: Dataset, _number: int) -> None:
    dataset.RescaleSlope, dataset.RescaleIntercept = "0.7", "-100"


def slope_alone(dataset: Dataset, _number: int) -> None:
    dataset.RescaleSlope = "1.5"


def one_slope_per_slice(dataset: Dataset, number: int) -> None:
    dataset.RescaleSlope, dataset.RescaleIntercept = str(1 + 0.25 * number), str(-20 * number)


CHANGES = [
    as_it_is,
    without_window,
    two_windows,
    one_window_per_slice,
    inverted,
    rescaled,
    slope_alone,
    one_slope_per_slice,
]


@needs_dcmtk
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_dcmtk_shows_every_slice_as_the_pictures_do(tmp_path: Path, change: Change) -> None:
    study = changed(classic_study(tmp_path, kinds=KINDS), change)

    state = state_of(study)

    for image, expected in of_the_pictures(study).items():
        shown = of_dcmtk(state, study.files[image.sop_instance_uid], None, tmp_path)
        assert np.abs(shown.astype(int) - expected).max() <= 1


@needs_dcmtk
def test_frames_with_a_rescaling_of_their_own_are_shown_as_the_pictures_do(tmp_path: Path) -> None:
    def one_slope_per_frame(dataset: Dataset, _number: int) -> None:
        (shared,) = dataset.SharedFunctionalGroupsSequence
        del shared.PixelValueTransformationSequence
        for number, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            frame.PixelValueTransformationSequence = [Dataset()]
            one_slope_per_slice(frame.PixelValueTransformationSequence[0], number)
            frame.PixelValueTransformationSequence[0].RescaleType = "US"

    study = changed(enhanced_study(tmp_path, kinds=KINDS), one_slope_per_frame)

    state = state_of(study)

    for image, expected in of_the_pictures(study).items():
        shown = of_dcmtk(state, study.files[image.sop_instance_uid], image.frame_number, tmp_path)
        assert np.abs(shown.astype(int) - expected).max() <= 1


def test_a_usable_window_of_the_series_is_kept_word_for_word(tmp_path: Path) -> None:
    (window,) = state_of(classic_study(tmp_path, kinds=KINDS)).SoftcopyVOILUTSequence

    assert (window.WindowCenter, window.WindowWidth) == (500, 1000)
    assert "ReferencedImageSequence" not in window


def test_a_rescaling_common_to_the_series_is_kept_and_a_missing_intercept_is_zero(tmp_path: Path) -> None:
    state = state_of(changed(classic_study(tmp_path, kinds=KINDS), slope_alone))

    assert (state.RescaleSlope, state.RescaleIntercept, state.RescaleType) == (1.5, 0, "US")


def test_where_the_rescaling_differs_each_image_has_its_window_in_stored_values(tmp_path: Path) -> None:
    study = changed(classic_study(tmp_path, kinds=KINDS), one_slope_per_slice)

    state = state_of(study)

    assert (state.RescaleSlope, state.RescaleIntercept) == (1, 0)
    images = [window.ReferencedImageSequence for window in state.SoftcopyVOILUTSequence]
    assert [[image.ReferencedSOPInstanceUID for image in one] for one in images] == [
        [image.sop_instance_uid] for image in study.series[0].images
    ]
    widths = [float(window.WindowWidth) for window in state.SoftcopyVOILUTSequence]
    assert widths == pytest.approx([1000 / (1 + 0.25 * number) for number in range(5)])


def test_values_within_less_than_one_have_an_exact_window(tmp_path: Path) -> None:
    """PS3.3 C.11.2.1.2.1: a LINEAR window is not narrower than 1."""

    def tiny(dataset: Dataset, number: int) -> None:
        without_window(dataset, number)
        dataset.RescaleSlope, dataset.RescaleIntercept = "0.0001", "0"

    (window,) = state_of(changed(classic_study(tmp_path, kinds=KINDS), tiny)).SoftcopyVOILUTSequence

    assert window.VOILUTFunction == "LINEAR_EXACT"
    assert 0 < window.WindowWidth < 1
    assert window.WindowCenter - window.WindowWidth / 2 == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize(("change", "shape"), [(as_it_is, "IDENTITY"), (inverted, "INVERSE")])
def test_monochrome1_is_shown_inverted(tmp_path: Path, change: Change, shape: str) -> None:
    assert state_of(changed(classic_study(tmp_path, kinds=KINDS), change)).PresentationLUTShape == shape


def test_one_slice_of_unreadable_rescaling_takes_the_others_not_with_it(tmp_path: Path) -> None:
    def broken(dataset: Dataset, number: int) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = "0" if number == 4 else "2", "0"

    study = changed(classic_study(tmp_path, kinds=KINDS), broken)

    state = state_of(study)

    windows = {
        image.ReferencedSOPInstanceUID: float(window.WindowWidth)
        for window in state.SoftcopyVOILUTSequence
        for image in window.ReferencedImageSequence
    }
    assert windows[study.series[0].images[1].sop_instance_uid] == 500
