"""Measurement groups: tracking and boxes."""

from copy import deepcopy

from pydicom.dataset import Dataset

from tests.node.report.defects.planting import Collection, Objects, find, found, remove
from tests.node.report.report_sources import ROOT

COLLECTION = Collection()
defect = COLLECTION.defect


def region(objects: Objects, number: int = 0) -> Dataset:
    return find(objects["sr"], "Image Region", number)


def reference(objects: Objects) -> Dataset:
    item: Dataset = region(objects).ContentSequence[0].ReferencedSOPSequence[0]
    return item


@defect("has 0 of: tracking UID")
def tracking_uid_missing(objects: Objects) -> None:
    remove(objects["sr"], "Tracking Unique Identifier", 0)


@defect("tracking UID is no valid UID", validators=("dcmtk",))
def tracking_uid_empty(objects: Objects) -> None:
    find(objects["sr"], "Tracking Unique Identifier").UID = ""


@defect("tracking UID is no valid UID")
def tracking_uid_with_a_leading_zero(objects: Objects) -> None:
    find(objects["sr"], "Tracking Unique Identifier")["UID"]._value = "2.25.0123"


@defect("tracking UID stands in more than one measurement group")
def tracking_uid_doubled(objects: Objects) -> None:
    one, other, *_ = found(objects["sr"], "Tracking Unique Identifier")
    other.UID = one.UID


@defect("lesion 1 of the findings is tracked under another UID")
def tracking_uid_of_another_lesion(objects: Objects) -> None:
    find(objects["sr"], "Tracking Unique Identifier").UID = "2.25.4711"


@defect("has 0 of: tracking identifier")
def tracking_identifier_missing(objects: Objects) -> None:
    remove(objects["sr"], "Tracking Identifier", 0)


@defect("tracking identifier is empty", validators=("dciodvfy",))
def tracking_identifier_empty(objects: Objects) -> None:
    find(objects["sr"], "Tracking Identifier").TextValue = ""


@defect("tracking identifier stands in more than one measurement group")
def tracking_identifier_doubled(objects: Objects) -> None:
    one, other, *_ = found(objects["sr"], "Tracking Identifier")
    other.TextValue = one.TextValue


@defect("is inferred from something else than the region")
def value_from_other_coordinates(objects: Objects) -> None:
    value = find(objects["sr"], "Probability of cancer")
    value.ContentSequence[0].GraphicData = [10, 10, 20, 10, 20, 20, 10, 20, 10, 10]


@defect("is inferred from something else than the region")
def value_from_another_image(objects: Objects) -> None:
    value = find(objects["sr"], "Probability of cancer")
    box = value.ContentSequence[0]
    box.ContentSequence = deepcopy(box.ContentSequence)  # the region holds the same item
    source = box.ContentSequence[0].ReferencedSOPSequence[0]
    source.ReferencedSOPInstanceUID = (
        found(objects["sr"], "Image Region")[-1].ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    )


@defect("is not a closed rectangle: POLYLINE of 4 points")
def box_open(objects: Objects) -> None:
    region(objects).GraphicData = region(objects).GraphicData[:8]


@defect("is not a closed rectangle", validators=("dcmtk",))
def box_with_half_a_point(objects: Objects) -> None:
    region(objects).GraphicData = region(objects).GraphicData[:9]


@defect("is not a closed rectangle: POLYLINE of 5 points")
def box_that_is_no_rectangle(objects: Objects) -> None:
    region(objects).GraphicData = [10, 10, 20, 20, 20, 10, 10, 20, 10, 10]


@defect("is not a closed rectangle: MULTIPOINT")
def box_of_loose_points(objects: Objects) -> None:
    region(objects).GraphicType = "MULTIPOINT"


@defect("has no area")
def box_without_area(objects: Objects) -> None:
    region(objects).GraphicData = [10, 10, 20, 10, 20, 10, 10, 10, 10, 10]


@defect("lies outside its image of 64 x 96 pixels")
def box_outside_the_image(objects: Objects) -> None:
    region(objects).GraphicData = [10, 10, 65, 10, 65, 20, 10, 20, 10, 10]


@defect("lies outside its image")
def box_left_of_the_image(objects: Objects) -> None:
    region(objects).GraphicData = [-1, 10, 20, 10, 20, 20, -1, 20, -1, 10]


@defect("lesion 1 of the findings has no box of its own where it was found")
def box_one_pixel_off(objects: Objects) -> None:
    """The classic: indices of pixels instead of their corners."""
    region(objects).GraphicData = [value + 1 for value in region(objects).GraphicData]


@defect("lesion 1 of the findings has no box of its own where it was found")
def box_with_rows_and_columns_exchanged(objects: Objects) -> None:
    data = region(objects).GraphicData
    region(objects).GraphicData = [value for x, y in zip(data[0::2], data[1::2], strict=True) for value in (y, x)]


@defect("which is no image of the case", validators=("dciodvfy",))
def box_on_an_image_that_does_not_exist(objects: Objects) -> None:
    reference(objects).ReferencedSOPInstanceUID = f"{ROOT}.404"


@defect("lesion 1 of the findings has no box of its own where it was found")
def box_on_the_neighbouring_slice(objects: Objects) -> None:
    reference(objects).ReferencedSOPInstanceUID = f"{ROOT}.1.1.4"


@defect("by another SOP Class")
def box_on_an_image_of_another_class(objects: Objects) -> None:
    reference(objects).ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"


@defect("refers to a frame that .* does not have", style="enhanced")
def box_on_a_frame_that_does_not_exist(objects: Objects) -> None:
    reference(objects).ReferencedFrameNumber = 6


@defect("without a frame number", style="enhanced")
def box_on_every_frame(objects: Objects) -> None:
    del reference(objects).ReferencedFrameNumber


@defect("lies on 1 images or on several frames", style="enhanced")
def box_on_two_frames(objects: Objects) -> None:
    reference(objects).ReferencedFrameNumber = [2, 3]


@defect("lies on 0 images")
def box_on_no_image(objects: Objects) -> None:
    del region(objects).ContentSequence


@defect("has 0 of: region")
def group_without_a_box(objects: Objects) -> None:
    remove(objects["sr"], "Image Region", 0)


@defect("has 2 of: region")
def group_with_two_boxes(objects: Objects) -> None:
    group = find(objects["sr"], "Measurement Group")
    group.ContentSequence.append(deepcopy(region(objects)))


@defect("has 0 of: geometric purpose")
def polyline_that_may_be_an_outline(objects: Objects) -> None:
    remove(objects["sr"], "Geometric purpose of region", 0)


@defect("has 3 boxes for 4 lesions")
def lesion_lost(objects: Objects) -> None:
    remove(objects["sr"], "Measurement Group", 3)


@defect("has 5 boxes for 4 lesions")
def lesion_told_twice(objects: Objects) -> None:
    measurements = find(objects["sr"], "Imaging Measurements")
    measurements.ContentSequence.append(deepcopy(find(objects["sr"], "Measurement Group")))


@defect("lesion 1 of the findings has another value of: Assessment Category")
def lesion_of_the_other_class(objects: Objects) -> None:
    answer = find(objects["sr"], "Assessment Category").ConceptCodeSequence[0]
    answer.CodeValue, answer.CodeMeaning = "30807003", "Benign"


@defect("TemplateIdentifier is not 1410 of DCMR")
def group_of_another_template(objects: Objects) -> None:
    find(objects["sr"], "Measurement Group").ContentTemplateSequence[0].TemplateIdentifier = "1411"


@defect("has 0 of: algorithm version")
def group_without_algorithm_version(objects: Objects) -> None:
    remove(objects["sr"], "Algorithm Version", 0)
