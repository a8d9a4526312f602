"""Presentation states: what they refer to, display and draw."""

from pydicom.dataset import Dataset

from tests.node.report.defects.planting import Collection, Objects
from tests.node.report.report_sources import ROOT

COLLECTION = Collection()
defect = COLLECTION.defect

KIND = "presentation_state"


def annotation(objects: Objects) -> Dataset:
    """The first one that draws a box."""
    return next(one for one in objects[KIND].GraphicAnnotationSequence if one.get("GraphicObjectSequence"))


def graphic(objects: Objects) -> Dataset:
    item: Dataset = annotation(objects).GraphicObjectSequence[0]
    return item


@defect("has a graphic outside its image", kind=KIND)
def drawn_outside_the_image(objects: Objects) -> None:
    graphic(objects).GraphicData = [10, 10, 65, 10, 65, 20, 10, 20, 10, 10]


@defect("that the structured report does not have", kind=KIND)
def drawn_one_pixel_off(objects: Objects) -> None:
    graphic(objects).GraphicData = [value + 1 for value in graphic(objects).GraphicData]


@defect("that the structured report does not have", kind=KIND)
def drawn_on_the_neighbouring_slice(objects: Objects) -> None:
    annotation(objects).ReferencedImageSequence[0].ReferencedSOPInstanceUID = f"{ROOT}.1.1.4"


@defect("leaves out a box of", kind=KIND)
def box_not_drawn(objects: Objects) -> None:
    """Of two boxes on one image one is not drawn."""
    annotations = objects[KIND].GraphicAnnotationSequence
    crowded = next(one for one in annotations if len(one.get("GraphicObjectSequence", ())) > 1)
    del crowded.GraphicObjectSequence[0]


@defect("under another tracking UID or identifier", kind=KIND)
def drawn_as_another_lesion(objects: Objects) -> None:
    graphic(objects).TrackingUID = "2.25.4711"


@defect("has 10 coordinates for 4 points", kind=KIND)
def drawn_with_a_point_too_few(objects: Objects) -> None:
    graphic(objects).NumberOfGraphicPoints = 4


@defect("has a graphic that is not in pixels", kind=KIND)
def drawn_in_parts_of_the_display(objects: Objects) -> None:
    graphic(objects).GraphicAnnotationUnits = "DISPLAY"


@defect("lies on a layer that does not exist", kind=KIND)
def drawn_on_no_layer(objects: Objects) -> None:
    annotation(objects).GraphicLayer = "ELSEWHERE"


@defect("to which the presentation state does not refer", kind=KIND)
def drawn_on_an_image_of_another_series(objects: Objects) -> None:
    annotation(objects).ReferencedImageSequence[0].ReferencedSOPInstanceUID = f"{ROOT}.1.2.1"


@defect("lies on every frame of", kind=KIND, style="enhanced")
def drawn_on_every_frame(objects: Objects) -> None:
    del annotation(objects).ReferencedImageSequence[0].ReferencedFrameNumber


@defect("has a text outside its image", kind=KIND)
def words_outside_the_image(objects: Objects) -> None:
    words = next(one for item in objects[KIND].GraphicAnnotationSequence for one in item.get("TextObjectSequence", ()))
    words.BoundingBoxBottomRightHandCorner = [70, 20]


@defect("does not display the whole of", kind=KIND)
def part_of_the_image_displayed(objects: Objects) -> None:
    objects[KIND].DisplayedAreaSelectionSequence[0].DisplayedAreaBottomRightHandCorner = [64, 48]


@defect("under another series", kind=KIND)
def images_under_another_series(objects: Objects) -> None:
    objects[KIND].ReferencedSeriesSequence[0].SeriesInstanceUID = f"{ROOT}.1.2"


@defect("refers to no image", kind=KIND, validators=("dciodvfy",))
def state_of_nothing(objects: Objects) -> None:
    del objects[KIND].ReferencedSeriesSequence


@defect("ContentLabel is missing", kind=KIND, validators=("dciodvfy",))
def state_without_a_label(objects: Objects) -> None:
    del objects[KIND].ContentLabel
