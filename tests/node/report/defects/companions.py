"""Pictures, key objects and the PDF."""

from copy import deepcopy

from pydicom.dataset import Dataset

from tests.node.report.defects.planting import Collection, Objects
from tests.node.report.report_sources import ROOT

COLLECTION = Collection()
defect = COLLECTION.defect


@defect(r"\d+ bytes of pixels, \d+ expected", kind="overlay")
def picture_cut_short(objects: Objects) -> None:
    objects["overlay"].PixelData = objects["overlay"].PixelData[:-2]


@defect(r"\d+ bytes of pixels, \d+ expected", kind="overlay")
def picture_with_rows_and_a_half(objects: Objects) -> None:
    objects["overlay"].Rows += 1


@defect(r"\d+ bytes of pixels, \d+ expected", kind="overlay_frames")
def frame_that_does_not_exist(objects: Objects) -> None:
    objects["overlay_frames"].NumberOfFrames += 1


@defect("has 2 labels for 3 frames", kind="overlay_frames")
def frame_without_a_label(objects: Objects) -> None:
    objects["overlay_frames"].FrameLabelVector = objects["overlay_frames"].FrameLabelVector[:2]


@defect("all of its pixels are alike", kind="overlay")
def black_picture(objects: Objects) -> None:
    objects["overlay"].PixelData = bytes(len(objects["overlay"].PixelData))


@defect("PlanarConfiguration is not 0", kind="overlay")
def colours_in_planes(objects: Objects) -> None:
    objects["overlay"].PlanarConfiguration = 1


@defect("PhotometricInterpretation is not RGB", kind="overlay")
def colours_of_another_model(objects: Objects) -> None:
    objects["overlay"].PhotometricInterpretation = "YBR_FULL"


@defect("BurnedInAnnotation is not NO", kind="summary")
def picture_that_claims_to_name_the_patient(objects: Objects) -> None:
    objects["summary"].BurnedInAnnotation = "YES"


@defect("does not say which image it shows", kind="overlay")
def picture_of_no_image(objects: Objects) -> None:
    del objects["overlay"].SourceImageSequence


@defect(f"refers to {ROOT}.404, which is no image of the case", kind="overlay")
def picture_of_an_image_that_does_not_exist(objects: Objects) -> None:
    objects["overlay"].SourceImageSequence[0].ReferencedSOPInstanceUID = f"{ROOT}.404"


@defect("without a frame number", kind="overlay", style="enhanced")
def picture_of_every_frame(objects: Objects) -> None:
    del objects["overlay"].SourceImageSequence[0].ReferencedFrameNumber


@defect("refers to a source image for another purpose", kind="overlay")
def picture_made_for_another_purpose(objects: Objects) -> None:
    purpose = objects["overlay"].SourceImageSequence[0].PurposeOfReferenceCodeSequence[0]
    purpose.CodeValue, purpose.CodeMeaning = "113076", "Segmentation"


@defect("does not say that it is for research use", kind="overlay")
def picture_without_its_intended_use(objects: Objects) -> None:
    del objects["overlay"].ImageComments


@defect("does not say that a phantom trained its model", kind="overlay")
def picture_that_does_not_tell_of_the_phantom(objects: Objects) -> None:
    objects["overlay"].ImageComments = "For research use only."


def selected(objects: Objects) -> list[Dataset]:
    return [item for item in objects["key_objects"].ContentSequence if item.ValueType == "IMAGE"]


@defect("selects nothing", kind="key_objects")
def selection_of_nothing(objects: Objects) -> None:
    document = objects["key_objects"]
    document.ContentSequence = [item for item in document.ContentSequence if item.ValueType != "IMAGE"]


@defect("which is not among its evidence", kind="key_objects", validators=("dciodvfy",))
def selection_without_evidence(objects: Objects) -> None:
    document = objects["key_objects"]
    del document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]


@defect("gives a selected object a name, which TID 2010 forbids", kind="key_objects", validators=("pixelmed",))
def selection_with_a_purpose(objects: Objects) -> None:
    name = deepcopy(objects["key_objects"].ConceptNameCodeSequence)
    name[0].CodeValue, name[0].CodingSchemeDesignator, name[0].CodeMeaning = "260753009", "SCT", "Source"
    selected(objects)[0].ConceptNameCodeSequence = name


@defect("selects an object without referring to it", kind="key_objects", validators=("dciodvfy",))
def selection_without_a_reference(objects: Objects) -> None:
    del selected(objects)[0].ReferencedSOPSequence


@defect("TemplateIdentifier is not 2010 of DCMR", kind="key_objects")
def selection_of_another_template(objects: Objects) -> None:
    objects["key_objects"].ContentTemplateSequence[0].TemplateIdentifier = "1500"


@defect("without a frame number", kind="key_objects", style="enhanced")
def selection_of_every_frame(objects: Objects) -> None:
    del selected(objects)[0].ReferencedSOPSequence[0].ReferencedFrameNumber


@defect("its document does not start as a PDF", kind="pdf")
def document_that_is_no_pdf(objects: Objects) -> None:
    objects["pdf"].EncapsulatedDocument = b"<html>" + objects["pdf"].EncapsulatedDocument[6:]


@defect("its document does not end as a PDF", kind="pdf")
def pdf_cut_short(objects: Objects) -> None:
    pdf = objects["pdf"]
    pdf.EncapsulatedDocument = pdf.EncapsulatedDocument[:1000]
    pdf.EncapsulatedDocumentLength = 1000


@defect(r"\d+ bytes of document, \d+ declared", kind="pdf")
def pdf_of_another_length(objects: Objects) -> None:
    objects["pdf"].EncapsulatedDocumentLength -= 2


@defect("has another title than the structured report", kind="pdf")
def pdf_of_another_title(objects: Objects) -> None:
    title = objects["pdf"].ConceptNameCodeSequence[0]
    title.CodeValue, title.CodeMeaning = "126001", "Oncology Measurement Report"


@defect("MIMETypeOfEncapsulatedDocument is not application/pdf", kind="pdf")
def pdf_called_something_else(objects: Objects) -> None:
    objects["pdf"].MIMETypeOfEncapsulatedDocument = "text/plain"


@defect(f"refers to {ROOT}.404, which is no image of the case", kind="pdf")
def pdf_about_an_image_that_does_not_exist(objects: Objects) -> None:
    objects["pdf"].SourceInstanceSequence[0].ReferencedSOPInstanceUID = f"{ROOT}.404"
