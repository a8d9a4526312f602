"""What the node takes by C-STORE: SOP classes and transfer syntaxes."""

from typing import Final

from pydicom import uid
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom.presentation import PresentationContext, build_context

VERIFICATION: Final = UID("1.2.840.10008.1.1")

# The first one that a peer offers in a presentation context is taken: native encodings before compressed ones,
# lossless before lossy.  JPEG Extended 12-bit (1.2.840.10008.1.2.4.51) is not here: no decoder of ours reads it, and
# a peer that is refused at negotiation can still send the image in another encoding.
TRANSFER_SYNTAXES: Final[tuple[UID, ...]] = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLossless,
    RLELossless,
    JPEGLSNearLossless,
    JPEG2000,
    JPEGBaseline8Bit,
)

IMAGE_CLASSES: Final[tuple[UID, ...]] = (
    uid.MRImageStorage,
    uid.EnhancedMRImageStorage,
    uid.EnhancedMRColorImageStorage,
    uid.LegacyConvertedEnhancedMRImageStorage,
    uid.CTImageStorage,
    uid.EnhancedCTImageStorage,
    uid.LegacyConvertedEnhancedCTImageStorage,
)
# Taken so that own objects that come back are recognised, and so that a whole study can be sent without a failure;
# grouping sets them aside.
COMPANION_CLASSES: Final[tuple[UID, ...]] = (
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameSingleBitSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    uid.BasicTextSRStorage,
    uid.EnhancedSRStorage,
    uid.ComprehensiveSRStorage,
    uid.Comprehensive3DSRStorage,
    uid.ExtensibleSRStorage,
    uid.ProcedureLogStorage,
    uid.MammographyCADSRStorage,
    uid.ChestCADSRStorage,
    uid.ColonCADSRStorage,
    uid.XRayRadiationDoseSRStorage,
    uid.RadiopharmaceuticalRadiationDoseSRStorage,
    uid.AcquisitionContextSRStorage,
    uid.KeyObjectSelectionDocumentStorage,
    uid.GrayscaleSoftcopyPresentationStateStorage,
    uid.ColorSoftcopyPresentationStateStorage,
    uid.PseudoColorSoftcopyPresentationStateStorage,
    uid.BlendingSoftcopyPresentationStateStorage,
    uid.SegmentationStorage,
    uid.EncapsulatedPDFStorage,
    uid.RawDataStorage,
)


STORAGE_CLASSES: Final = (*IMAGE_CLASSES, *COMPANION_CLASSES)


def supported_contexts() -> list[PresentationContext]:
    """The presentation contexts of the receiver: Verification and Storage."""
    storage = [build_context(abstract_syntax, list(TRANSFER_SYNTAXES)) for abstract_syntax in STORAGE_CLASSES]
    return [build_context(VERIFICATION), *storage]
