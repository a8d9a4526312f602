"""Our codes as highdicom's coded concepts."""

from highdicom.sr import CodedConcept

from config import codes
from inference.findings import Reason, SequenceKind, Verdict

ASSESSMENT = {Verdict.BENIGN: codes.BENIGN, Verdict.MALIGNANT: codes.MALIGNANT}

WEIGHTING = {
    SequenceKind.T1: codes.T1_WEIGHTED,
    SequenceKind.T2: codes.T2_WEIGHTED,
    SequenceKind.T2FS: codes.T2_FAT_SUPPRESSED,
}

REASON = {
    Reason.NOT_MR: codes.NOT_MR,
    Reason.NOT_AN_IMAGE: codes.OBJECT_TYPES_NOT_SUPPORTED,
    Reason.LOCALIZER: codes.LOCALIZER,
    Reason.MISSING_GEOMETRY: codes.MISSING_GEOMETRY,
    Reason.WRONG_PLANE: codes.WRONG_PLANE,
    Reason.MIXED_ORIENTATION: codes.MIXED_ORIENTATION,
    Reason.NOT_SPINE: codes.NOT_SPINE,
    Reason.UNKNOWN_KIND: codes.UNKNOWN_KIND,
    Reason.TOO_FEW_SLICES: codes.OBJECT_SET_INCOMPLETE,
    Reason.BROKEN_PIXELS: codes.OBJECTS_INCORRECTLY_FORMATTED,
    Reason.UNSUPPORTED_PIXELS: codes.OBJECT_TYPES_NOT_SUPPORTED,
    Reason.UNREADABLE: codes.OBJECTS_INCORRECTLY_FORMATTED,
    Reason.NO_ELIGIBLE_SERIES: codes.NO_ELIGIBLE_SERIES,
    Reason.IDENTITY_CONFLICT: codes.IDENTITY_CONFLICT,
    Reason.MODEL_FAILURE: codes.SOFTWARE_FAILURE,
}


def concept(code: codes.Code) -> CodedConcept:
    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)
