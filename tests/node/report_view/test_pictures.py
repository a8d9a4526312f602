"""Presentation states and segmentations drawn as the objects say, not as we think they were meant."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from highdicom.color import CIELabColor
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, SegmentationStorage

from node.report_view.output import Output
from node.report_view.presentation_state import render_presentation_state
from node.report_view.segmentation import render_segmentation
from node.report_view.source_files import SourceFiles

RED = (255, 0, 0)
ROWS, COLUMNS = 96, 64


@pytest.fixture
def sources(tmp_path: Path) -> SourceFiles:
    """One image with stored values 100 in its upper half and 300 in its lower half."""
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID, image.Modality = MRImageStorage, "1.2.3", "MR"
    image.SeriesNumber, image.InstanceNumber, image.SeriesDescription = 4, 7, "T2 SAG"
    image.Rows, image.Columns, image.SamplesPerPixel = ROWS, COLUMNS, 1
    image.PhotometricInterpretation, image.PixelRepresentation = "MONOCHROME2", 0
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
    pixels = np.full((ROWS, COLUMNS), 100, np.uint16)
    pixels[ROWS // 2 :] = 300
    save(image, pixels.tobytes(), tmp_path / "image.dcm")
    return SourceFiles({"1.2.3": tmp_path / "image.dcm"})


def save(dataset: Dataset, pixels: bytes, path: Path) -> None:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PixelData = pixels
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)


def reference() -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = MRImageStorage, "1.2.3"
    return item


def presentation_state(units: str = "PIXEL", **attributes: object) -> Dataset:
    """A red box around columns 10 to 20 and rows 20 to 40."""
    state, annotation, graphic, layer = Dataset(), Dataset(), Dataset(), Dataset()
    box = np.array([10, 20, 20, 20, 20, 40, 10, 40, 10, 20], float)
    graphic.GraphicType, graphic.GraphicAnnotationUnits = "POLYLINE", units
    graphic.GraphicData = list(box if units == "PIXEL" else box / np.tile([COLUMNS, ROWS], 5))
    layer.GraphicLayer, layer.GraphicLayerOrder = "BOXES", 1
    layer.GraphicLayerRecommendedDisplayCIELabValue = list(CIELabColor.from_rgb(*RED).value)
    annotation.GraphicLayer, annotation.ReferencedImageSequence = "BOXES", [reference()]
    annotation.GraphicObjectSequence = [graphic]
    state.GraphicLayerSequence, state.GraphicAnnotationSequence = [layer], [annotation]
    for keyword, value in attributes.items():
        setattr(state, keyword, value)
    return state


def window(centre: float, width: float) -> Dataset:
    item = Dataset()
    item.WindowCenter, item.WindowWidth = centre, width
    return item


def pixel_aspect(vertical: int, horizontal: int) -> Dataset:
    item = Dataset()
    item.PresentationPixelAspectRatio = [vertical, horizontal]
    return item


def pixels_of(output: Output) -> np.ndarray:
    with Image.open(BytesIO(output.content)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def extent_of(colour: tuple[int, int, int], pixels: np.ndarray) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the pixels of about this colour, as parts of the picture."""
    rows, columns = np.nonzero((abs(pixels - colour) < 30).all(axis=-1))
    height, width = pixels.shape[:2]
    return columns.min() / width, rows.min() / height, columns.max() / width, rows.max() / height


@pytest.mark.parametrize("units", ["PIXEL", "DISPLAY"])
def test_a_box_is_drawn_where_the_object_says_in_the_colour_of_its_layer(sources: SourceFiles, units: str) -> None:
    (output,) = render_presentation_state(presentation_state(units), sources)

    drawn = extent_of(RED, pixels_of(output))
    assert drawn == pytest.approx((10 / 64, 20 / 96, 20 / 64, 40 / 96), abs=0.004)
    assert output.caption == "MR image 7 of series 4 (T2 SAG)"


@pytest.mark.parametrize(
    ("attributes", "upper", "lower"),
    [
        ({}, 0, 255),
        ({"SoftcopyVOILUTSequence": [window(300.5, 401)]}, 0, 128),  # 100 to 500
        ({"SoftcopyVOILUTSequence": [window(300.5, 401)], "PresentationLUTShape": "INVERSE"}, 255, 128),
        ({"RescaleSlope": 2, "RescaleIntercept": -200, "SoftcopyVOILUTSequence": [window(400.5, 801)]}, 0, 128),
    ],
)
def test_gray_values_follow_rescaling_window_and_polarity_of_the_object(
    sources: SourceFiles, attributes: dict[str, object], upper: int, lower: int
) -> None:
    (output,) = render_presentation_state(presentation_state(**attributes), sources)

    pixels = pixels_of(output)
    assert pixels[5, 5].tolist() == [upper] * 3
    assert pixels[-5, -5].tolist() == pytest.approx([lower] * 3, abs=1)


def test_pixels_that_are_not_square_are_shown_in_their_shape(sources: SourceFiles) -> None:
    area = {"DisplayedAreaSelectionSequence": [pixel_aspect(1, 3)]}

    (output,) = render_presentation_state(presentation_state(**area), sources)

    height, width = pixels_of(output).shape[:2]
    assert width / height == pytest.approx(3 * 64 / 96, rel=0.01)


def test_words_stand_in_their_bounding_box(sources: SourceFiles) -> None:
    text = Dataset()
    text.UnformattedTextValue, text.BoundingBoxAnnotationUnits = "MALIGNANT\r\nscore 0.9", "PIXEL"
    text.BoundingBoxTopLeftHandCorner, text.BoundingBoxBottomRightHandCorner = [5, 60], [60, 68]
    state = presentation_state()
    del state.GraphicAnnotationSequence[0].GraphicObjectSequence
    state.GraphicAnnotationSequence[0].TextObjectSequence = [text]

    (output,) = render_presentation_state(state, sources)

    left, top, right, bottom = extent_of(RED, pixels_of(output))
    assert (left, right) >= (5 / 64, 0.2)
    assert right < 60 / 64
    assert 60 / 96 <= top < 63 / 96
    assert 64 / 96 < bottom <= 68 / 96


def test_a_state_of_images_that_are_gone_shows_nothing() -> None:
    assert render_presentation_state(presentation_state(), SourceFiles({})) == []


@pytest.fixture
def segmentation(tmp_path: Path) -> Dataset:
    """One red segment over columns 8 to 16 and rows 8 to 24."""
    dataset, segment, group, identification, derivation = (Dataset() for _ in range(5))
    dataset.SOPClassUID, dataset.SOPInstanceUID = SegmentationStorage, "1.2.9"
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames, dataset.SamplesPerPixel = ROWS, COLUMNS, 1, 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 1, 1, 0, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    segment.SegmentNumber, segment.SegmentLabel = 1, "Lesion <1>"
    segment.RecommendedDisplayCIELabValue = list(CIELabColor.from_rgb(*RED).value)
    identification.ReferencedSegmentNumber = 1
    derivation.SourceImageSequence = [reference()]
    group.SegmentIdentificationSequence, group.DerivationImageSequence = [identification], [derivation]
    dataset.SegmentSequence, dataset.PerFrameFunctionalGroupsSequence = [segment], [group]
    mask = np.zeros((ROWS, COLUMNS), np.uint8)
    mask[8:24, 8:16] = 1
    save(dataset, np.packbits(mask.ravel(), bitorder="little").tobytes(), tmp_path / "segmentation.dcm")
    return dataset


@pytest.mark.parametrize("is_there", [True, False], ids=["over the image", "image gone"])
def test_a_segment_tints_its_pixels(segmentation: Dataset, sources: SourceFiles, is_there: bool) -> None:
    page, picture = render_segmentation(segmentation, sources if is_there else SourceFiles({}))

    pixels = pixels_of(picture)
    rows, columns = np.nonzero(pixels[..., 0] > pixels[..., 1] + 50)
    enlarged = pixels.shape[0] / ROWS
    assert (columns.min() / enlarged, (columns.max() + 1) / enlarged) == (8, 16)
    assert (rows.min() / enlarged, (rows.max() + 1) / enlarged) == (8, 24)
    assert (pixels[-1, -1] > 200).all() == is_there
    assert b"Lesion &lt;1&gt;" in page.content
    assert b"128" in page.content  # pixels of the segment
