"""Companions that name another verdict than the structured report, or show other images."""

from copy import deepcopy

from pydicom.dataset import Dataset

from tests.node.report.defects.planting import Collection, Objects, reword
from tests.node.report.defects.segments import fill
from tests.node.report.report_sources import ROOT

COLLECTION = Collection()
defect = COLLECTION.defect


def annotation_on(objects: Objects, layer: str, words: str) -> Dataset:
    """The first annotation of the presentation state on this layer that has such a text."""
    annotations = objects["presentation_state"].GraphicAnnotationSequence
    return next(
        one
        for one in annotations
        if one.GraphicLayer == layer and words in one.TextObjectSequence[0].UnformattedTextValue
    )


@defect("segment 1: its label names another class than the structured report", kind="segmentation")
def segment_label_of_the_other_class(objects: Objects) -> None:
    objects["segmentation"].SegmentSequence[0].SegmentLabel = "Lesion 1, benign"


@defect("segment 1: its description names another class than the structured report", kind="segmentation")
def segment_description_of_the_other_class(objects: Objects) -> None:
    segment = objects["segmentation"].SegmentSequence[0]
    segment.SegmentDescription = f"{segment.SegmentDescription} Benign."


@defect("segment 1: its description names another probability than the structured report", kind="segmentation")
def segment_description_of_another_probability(objects: Objects) -> None:
    segment = objects["segmentation"].SegmentSequence[0]
    segment.SegmentDescription = segment.SegmentDescription.replace("78.4 %", "21.6 %")


@defect("frame 1 does not fill the box of its lesion", kind="segmentation")
def segment_smaller_than_its_box(objects: Objects) -> None:
    fill(objects, rows=slice(9, 21), columns=slice(10, 21))


@defect("draws a lesion on the layer of another class", kind="presentation_state")
def drawn_on_the_layer_of_the_other_class(objects: Objects) -> None:
    state = objects["presentation_state"]
    layer = next(one for one in state.GraphicLayerSequence if one.GraphicLayer == "MALIGNANT")
    state.GraphicLayerSequence.append(deepcopy(layer))
    state.GraphicLayerSequence[-1].GraphicLayer = "BENIGN"
    annotation_on(objects, "MALIGNANT", "MALIGNANT").GraphicLayer = "BENIGN"


@defect("a graphic layer is described as another class than its name", kind="presentation_state")
def layer_described_as_the_other_class(objects: Objects) -> None:
    layers = objects["presentation_state"].GraphicLayerSequence
    layer = next(one for one in layers if one.GraphicLayer == "MALIGNANT")
    layer.GraphicLayerDescription = layer.GraphicLayerDescription.replace("malignant", "benign")


@defect("labels a lesion with another class than the structured report", kind="presentation_state")
def label_of_the_other_class(objects: Objects) -> None:
    label = annotation_on(objects, "MALIGNANT", "MALIGNANT").TextObjectSequence[0]
    label.UnformattedTextValue = label.UnformattedTextValue.replace("MALIGNANT", "BENIGN")


@defect("labels a lesion with another score than the structured report", kind="presentation_state")
def label_of_another_score(objects: Objects) -> None:
    label = annotation_on(objects, "MALIGNANT", "0.91").TextObjectSequence[0]
    label.UnformattedTextValue = label.UnformattedTextValue.replace("0.91", "0.19")


@defect("its text names another verdict than the structured report", kind="key_objects")
def selection_of_another_verdict(objects: Objects) -> None:
    reword(objects["key_objects"], "(AI): MALIGNANT", "(AI): BENIGN")


@defect("its text names another probability than the structured report", kind="key_objects")
def selection_of_another_probability(objects: Objects) -> None:
    reword(objects["key_objects"], "malignancy 78.4 %", "malignancy 21.6 %")


@defect(f"leaves out {ROOT}.1.1.2, on which there is a box", kind="key_objects")
def selection_without_an_image_with_a_box(objects: Objects) -> None:
    document = objects["key_objects"]
    series = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    document.ContentSequence = [item for item in document.ContentSequence if f"{ROOT}.1.1.2" not in str(item)]
    series.ReferencedSOPSequence = [item for item in series.ReferencedSOPSequence if f"{ROOT}.1.1.2" not in str(item)]


@defect(f"leaves out {ROOT}.2.1.1, on which there is a box", kind="key_objects", style="enhanced")
def selection_without_a_frame_with_a_box(objects: Objects) -> None:
    images = [item for item in objects["key_objects"].ContentSequence if item.ValueType == "IMAGE"]
    images[0].ReferencedSOPSequence[0].ReferencedFrameNumber = 2


@defect(f"selects {ROOT}.1.1.1, on which there is no box", kind="key_objects")
def selection_of_an_image_without_a_box(objects: Objects) -> None:
    images = [item for item in objects["key_objects"].ContentSequence if item.ValueType == "IMAGE"]
    images[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = f"{ROOT}.1.1.1"


@defect("DocumentTitle: its text names another verdict than the structured report", kind="pdf")
def page_titled_with_another_verdict(objects: Objects) -> None:
    objects["pdf"].DocumentTitle = objects["pdf"].DocumentTitle.replace("MALIGNANT", "NO LESION DETECTED")


@defect(f"shows {ROOT}.1.1.1, on which there is no box", kind="overlay")
def overlay_of_an_image_without_a_box(objects: Objects) -> None:
    objects["overlay"].SourceImageSequence[0].ReferencedSOPInstanceUID = f"{ROOT}.1.1.1"


@defect("shows another image than that of its Instance Number", kind="overlay")
def overlays_of_two_images_swapped(objects: Objects) -> None:
    one, other, *_ = objects.every("overlay")
    one.SourceImageSequence, other.SourceImageSequence = other.SourceImageSequence, one.SourceImageSequence


@defect("shows an image that is shown already", kind="overlay")
def two_overlays_of_one_image(objects: Objects) -> None:
    one, other, *_ = objects.every("overlay")
    one.SourceImageSequence = deepcopy(other.SourceImageSequence)


@defect("lacks 1 of 3 images with a box, and the report does not tell", kind="overlay")
def overlay_lost(objects: Objects) -> None:
    assert objects["overlay"]  # the others of its kind are judged with it
    objects.lose("overlay")


@defect("shows 2 images in 3 frames", kind="overlay_frames")
def frame_of_no_image(objects: Objects) -> None:
    del objects["overlay_frames"].SourceImageSequence[2]


@defect("its frames are not in the order of the images", kind="overlay_frames")
def frames_of_two_images_swapped(objects: Objects) -> None:
    images = objects["overlay_frames"].SourceImageSequence
    images[0], images[1] = images[1], images[0]


@defect("a frame has the label of another image", kind="overlay_frames")
def labels_of_two_frames_swapped(objects: Objects) -> None:
    one, other, *others = objects["overlay_frames"].FrameLabelVector
    objects["overlay_frames"].FrameLabelVector = [other, one, *others]
