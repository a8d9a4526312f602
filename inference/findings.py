"""The typed result of a pipeline: lesions per image, votes per sequence, decision per patient.

Everything here is plain data: no network, no torch, no pydicom. Probabilities are malignant probabilities
in [0, 1]; the benign one is the complement, because every term of the fusion is normalised.
"""

from dataclasses import dataclass, field
from enum import StrEnum

Point = tuple[float, float, float]


class SequenceKind(StrEnum):
    """Weighting of a sagittal sequence."""

    T1 = "T1"
    T2 = "T2"
    T2FS = "T2FS"  # fat-suppressed T2, STIR included


class Verdict(StrEnum):
    BENIGN = "benign"
    MALIGNANT = "malignant"


MALIGNANT_FROM = 0.5  # probability from which a voice counts as malignant


def verdict_of(probability_malignant: float) -> Verdict:
    return Verdict.MALIGNANT if probability_malignant >= MALIGNANT_FROM else Verdict.BENIGN


class Status(StrEnum):
    LESION_DETECTED = "lesion_detected"
    NO_LESION_DETECTED = "no_lesion_detected"
    NOT_ANALYSED = "not_analysed"


class Reason(StrEnum):
    """Why a series was left out, or why a case was not analysed. The report maps each to a coded text."""

    NOT_MR = "not_mr"
    NOT_AN_IMAGE = "not_an_image"  # report, presentation state, raw data
    LOCALIZER = "localizer"
    MISSING_GEOMETRY = "missing_geometry"
    WRONG_PLANE = "wrong_plane"
    MIXED_ORIENTATION = "mixed_orientation"
    NOT_SPINE = "not_spine"
    UNKNOWN_KIND = "unknown_kind"  # weighting is neither T1, T2 nor fat-suppressed T2
    TOO_FEW_SLICES = "too_few_slices"
    BROKEN_PIXELS = "broken_pixels"
    UNSUPPORTED_PIXELS = "unsupported_pixels"  # colour, or a transfer syntax without decoder
    UNREADABLE = "unreadable"
    NO_ELIGIBLE_SERIES = "no_eligible_series"  # case only: every series was left out
    IDENTITY_CONFLICT = "identity_conflict"  # case only
    MODEL_FAILURE = "model_failure"  # case only: attempts used up


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """One image: an instance, or one frame of a multi-frame instance."""

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None  # counts from 1 (PS3.3 C.7.6.6); None for single-frame instances


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in the pixels of the stored image.

    Continuous coordinates, x along columns, y along rows; (0, 0) is the OUTER corner of the first pixel
    (PS3.3 C.10.5), so a box over pixel columns 3..5 is x0=3, x1=6.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def area(self) -> float:
        return max(0.0, self.x1 - self.x0) * max(0.0, self.y1 - self.y0)

    def overlap(self, other: "Box") -> float:
        """Intersection over union; 0 for boxes that only touch, or have no area."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.area + other.area - shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """One detected box on one image that took part in the decision."""

    image: ImageReference
    series_instance_uid: str
    box: Box
    verdict: Verdict  # of its image, by the fused probability
    score: float  # of the detector for a lesion of either class, [0, 1]
    probability_malignant: float  # fused probability of the image, Eq. 1
    detector_verdict: Verdict | None = None  # class with the higher detector score; None: not told
    corners_mm: tuple[Point, ...] = ()  # of the box, LPS: top left, top right, bottom right, bottom left
    # Who this lesion is in every report about it; given by the node, empty and 0 until then
    tracking_uid: str = ""
    tracking_number: int = 0  # of the lesions of the case, from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageVote:
    image: ImageReference
    detector_probability: float  # D of Eq. 1: pm / (pb + pm)
    probability_malignant: float  # fused, Eq. 1
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceVote:
    """What one sequence says. `verdict` is None when it abstains (no image of it voted)."""

    series_instance_uid: str
    kind: SequenceKind
    image_count: int
    votes: tuple[ImageVote, ...]
    classifier_probability: float | None  # M of Eq. 1; None when the sequence has no crop
    crop: Box | None  # region given to the sequence classifier, on every slice of the clip
    mean_probability: float | None  # mean fused probability of the voting images
    verdict: Verdict | None
    tie: bool
    crop_corners_mm: tuple[Point, ...] = ()  # of the crop on the first of `clip_images`, in the order of a lesion's
    clip_images: tuple[ImageReference, ...] = ()  # given to the sequence classifier, in spatial order, each once


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the sequences together say about the patient."""

    verdict: Verdict
    probability_malignant: float  # mean over sequences of the mean over voting images
    vote_fraction_malignant: float  # malignant image votes / image votes
    tie: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesUsed:
    series_instance_uid: str
    study_instance_uid: str
    kind: SequenceKind
    kind_evidence: str  # e.g. "TR 400 ms, TE 15 ms"
    images: tuple[ImageReference, ...]  # in spatial order
    gray_limits: tuple[float, float] | None = None  # modality values that the networks saw as black and white


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLeftOut:
    series_instance_uid: str
    study_instance_uid: str
    reason: Reason
    detail: str  # one sentence for a person, without patient data
    instance_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleIdentity:
    """Which weights spoke. `sha256` changes whenever the model does."""

    pipeline: str  # e.g. "wff"
    name: str  # e.g. "wff-demo-phantom"
    version: str
    sha256: str
    trained_on: str  # one sentence
    validated_on: str  # one sentence with the measured numbers
    phantom_trained: bool
    components: tuple[str, ...] = ()  # e.g. ("detector", "sequence classifier", "fusion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    status: Status
    bundle: BundleIdentity
    reason: Reason | None = None  # set when status is NOT_ANALYSED
    detail: str = ""  # one sentence for a person, without patient data
    lesions: tuple[Lesion, ...] = ()
    sequences: tuple[SequenceVote, ...] = ()
    decision: Decision | None = None
    age_years: float | None = None
    age_probability: float | None = None  # A of Eq. 1; None when the age is unknown
    series_used: tuple[SeriesUsed, ...] = ()
    series_left_out: tuple[SeriesLeftOut, ...] = ()
    parameters: dict[str, float] = field(default_factory=dict)  # tau, lambda_detector, ...
    timings_s: dict[str, float] = field(default_factory=dict)  # stage -> seconds
