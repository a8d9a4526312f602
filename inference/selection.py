"""Which series of a case the pipeline can read: sagittal MR of the spine, T1, T2 or fat-suppressed T2.

Every series that is not taken is named with its reason. Rules run from what an object is, over where it lies, to
what it shows; the first that fails gives the reason. SeriesDescription alone decides nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from inference.age import patient_age_years
from inference.anatomy_evidence import StackShape, weigh_anatomy
from inference.eligible_instances import Rejection, eligible_instances
from inference.findings import Reason, SequenceKind, SeriesLeftOut
from inference.heads import InstanceHead, read_head
from inference.plane import dot, is_sagittal, missing_slices, normal, slice_gaps_mm
from inference.stacks import (
    SliceHead,
    Stack,
    StackImage,
    by_orientation_and_size,
    has_repeats,
    positions_mm,
    split_repeats,
    stack_images,
)
from inference.weighting import Weighting, weigh_stack

__all__ = [
    "EligibleSeries",
    "InstanceHead",
    "Selection",
    "SliceHead",
    "missing_slices",
    "patient_age_years",
    "read_head",
    "select_series",
]

MINIMUM_SLICES: Final = 4  # fewer do not cover a vertebra (25-50 mm wide at 3-7 mm): localizers, single slices
REFERENCE_IMAGES: Final = 2  # scanners append one or two scout images to a stack; more is a second stack
LOCALIZER_IMAGES: Final = 9  # per plane; planning scouts have one to nine
CROSSING_COSINE: Final = 0.5  # planes more than 60 degrees apart
_KIND_ORDER: Final = {SequenceKind.T1: 0, SequenceKind.T2: 1, SequenceKind.T2FS: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class EligibleSeries:
    """One series that the pipeline reads. `slices` are sorted along their normal, each position once."""

    series_instance_uid: str
    study_instance_uid: str
    kind: SequenceKind
    kind_evidence: str  # tags that decided, and what of the series was set aside; no patient data
    anatomy_evidence: str = ""  # why this is a spine
    slices: tuple[SliceHead, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """`eligible` by kind (T1, T2, T2FS), then series UID; `left_out` by series UID. Order of input has no effect."""

    eligible: tuple[EligibleSeries, ...]
    left_out: tuple[SeriesLeftOut, ...]


def select_series(heads: Sequence[InstanceHead]) -> Selection:
    """Sorts the series of one case into those the pipeline reads and those left out, each with its reason.

    All series that fit are eligible, also several of one kind (the paper has about four sequences per patient).
    """
    series: dict[tuple[str, str], list[InstanceHead]] = {}
    for head in heads:
        series.setdefault((head.series_instance_uid, head.study_instance_uid), []).append(head)
    eligible: list[EligibleSeries] = []
    left_out: list[SeriesLeftOut] = []
    for (series_uid, study_uid), members in sorted(series.items()):
        try:
            eligible.append(_judge(series_uid, study_uid, members))
        except Rejection as rejection:
            left_out.append(
                SeriesLeftOut(
                    series_instance_uid=series_uid,
                    study_instance_uid=study_uid,
                    reason=rejection.reason,
                    detail=rejection.detail,
                    instance_count=len(members),
                )
            )
    eligible.sort(key=lambda one: (_KIND_ORDER[one.kind], one.series_instance_uid, one.study_instance_uid))
    return Selection(eligible=tuple(eligible), left_out=tuple(left_out))


def _judge(series_uid: str, study_uid: str, members: Sequence[InstanceHead]) -> EligibleSeries:
    """The eligible series, or `Rejection`."""
    heads, notes = eligible_instances(members)
    images, lacking = stack_images(heads)
    if not images:
        raise Rejection(
            Reason.MISSING_GEOMETRY,
            "ImagePositionPatient, ImageOrientationPatient or PixelSpacing is absent or unusable",
        )
    if lacking:
        notes = [*notes, f"{lacking} images without usable position set aside"]
    group, aside = _sagittal_group(images)
    notes = [*notes, *aside]
    anatomy = _spine_or_reject(heads, group)
    stack, weighting, others = _choose_stack(group, _description(heads))
    notes = [*notes, *others]
    if gap := missing_slices(positions_mm(stack)):
        notes = [*notes, f"{gap} slice positions missing"]
    return EligibleSeries(
        series_instance_uid=series_uid,
        study_instance_uid=study_uid,
        kind=_kind_of(weighting),
        kind_evidence="; ".join([weighting.evidence, *notes]),
        anatomy_evidence=anatomy,
        slices=tuple(image.slice for image in stack),
    )


def _sagittal_group(images: Sequence[StackImage]) -> tuple[list[StackImage], list[str]]:
    groups = by_orientation_and_size(images)
    sagittal = [group for group in groups if is_sagittal(group[0].slice.orientation)]
    if not sagittal:
        n = normal(groups[0][0].slice.orientation)
        raise Rejection(
            Reason.WRONG_PLANE,
            f"not sagittal: normal ({n[0]:.2f}, {n[1]:.2f}, {n[2]:.2f}) of {_count(len(groups), 'orientation')}",
        )
    others = len(images) - len(sagittal[0])
    if _is_the_stack(sagittal, others):
        return sagittal[0], [f"{others} images of another orientation or size set aside"] if others else []
    sizes = ", ".join(f"{len(group)} of {_look(group[0].slice)}" for group in groups[:5])
    if len(groups[0]) <= LOCALIZER_IMAGES and _planes_cross(groups):
        raise Rejection(Reason.LOCALIZER, f"few images in crossing planes: {sizes}")
    raise Rejection(Reason.MIXED_ORIENTATION, f"images of {len(groups)} orientations or sizes in one series: {sizes}")


def _is_the_stack(sagittal: Sequence[Sequence[StackImage]], others: int) -> bool:
    """Whether the first sagittal group is what the series shows, or its one sagittal stack beside stacks of other
    planes. Some scanners write a whole examination into one series; a localizer has fewer images of a plane."""
    if others <= REFERENCE_IMAGES:
        return others < len(sagittal[0])
    return len(sagittal[0]) > LOCALIZER_IMAGES and sum(map(len, sagittal[1:])) <= REFERENCE_IMAGES


def _look(image: SliceHead) -> str:
    return f"{image.columns}x{image.rows} {'sagittal' if is_sagittal(image.orientation) else 'not sagittal'}"


def _planes_cross(groups: Sequence[Sequence[StackImage]]) -> bool:
    first, *others = (normal(group[0].slice.orientation) for group in groups)
    return any(abs(dot(first, other)) <= CROSSING_COSINE for other in others)


def _spine_or_reject(heads: Sequence[InstanceHead], group: Sequence[StackImage]) -> str:
    """Why this is a spine; also rejects what is too small to say so, naming the wrong body part first."""
    gaps = slice_gaps_mm(positions_mm(group))
    distance = median(gaps) if gaps else None
    shape = StackShape(
        width_mm=sum(gaps) + (distance or 0.0), field_mm=_field_mm(group[0].slice), slice_distance_mm=distance
    )
    anatomy = weigh_anatomy([word for head in heads for word in head.words], shape)
    if not anatomy.is_spine and anatomy.by_words:
        raise Rejection(Reason.NOT_SPINE, anatomy.evidence)
    if len(gaps) + 1 < MINIMUM_SLICES:
        raise Rejection(
            Reason.TOO_FEW_SLICES, f"{_count(len(gaps) + 1, 'slice position')}, {MINIMUM_SLICES} are needed"
        )
    if not anatomy.is_spine:
        raise Rejection(Reason.NOT_SPINE, anatomy.evidence)
    return anatomy.evidence


def _field_mm(image: SliceHead) -> float:
    """Size of the image along the axis that runs nearest to the body axis (z)."""
    along_columns = abs(image.orientation[5]) >= abs(image.orientation[2])
    return image.rows * image.pixel_spacing_mm[0] if along_columns else image.columns * image.pixel_spacing_mm[1]


def _choose_stack(group: Sequence[StackImage], description: str) -> tuple[Stack, Weighting, list[str]]:
    """The stack to read of the (usually one) that share these positions, and a note on those not read."""
    stacks = split_repeats(group)
    weighed = [(stack, weigh_stack([image.frame.acquisition for image in stack], description)) for stack in stacks]
    fitting = [
        (stack, weighting)
        for stack, weighting in weighed
        if weighting.kind is not None and len(stack) >= MINIMUM_SLICES and not has_repeats(stack)
    ]
    if fitting:
        stack, weighting = min(fitting, key=lambda one: (-len(one[0]), _KIND_ORDER[_kind_of(one[1])]))
        unread = len(group) - len(stack)
        return stack, weighting, [f"{unread} further images at repeated positions not read"] if unread else []
    repeated = [stack for stack, weighting in weighed if weighting.kind is not None and has_repeats(stack)]
    if repeated:
        raise Rejection(Reason.UNKNOWN_KIND, "positions are repeated and no attribute tells the repeats apart")
    if all(weighting.kind is None for _, weighting in weighed):
        raise Rejection(Reason.UNKNOWN_KIND, weighed[0][1].evidence)
    raise Rejection(
        Reason.TOO_FEW_SLICES,
        f"stacks of {', '.join(str(len(stack)) for stack in stacks)}, {MINIMUM_SLICES} are needed",
    )


def _kind_of(weighting: Weighting) -> SequenceKind:
    if weighting.kind is None:
        raise Rejection(Reason.UNKNOWN_KIND, weighting.evidence)
    return weighting.kind


def _description(heads: Sequence[InstanceHead]) -> str:
    return " ".join(
        sorted({text for head in heads for field, text in head.words if field in ("SeriesDescription", "ProtocolName")})
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
