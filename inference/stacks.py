"""From the images of one series to stacks: images of one orientation and size, each position once."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from inference.findings import ImageReference
from inference.heads import FrameHead, InstanceHead, Vector
from inference.plane import dot, has_geometry, is_parallel, normal, slice_gaps_mm

# Along an axis of the plane, images of one stack start at the same place or drift by millimetres from slice to slice;
# stations differ by centimetres
STATION_MM: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceHead:
    """One image of a stack and where it lies. mm, LPS."""

    image: ImageReference
    file: Path
    position_mm: Vector  # centre of the first pixel (PS3.3 C.7.6.2.1.1)
    orientation: tuple[float, ...]  # 6 direction cosines: along a row, then along a column
    pixel_spacing_mm: tuple[float, float]  # between rows, between columns
    rows: int
    columns: int
    window: tuple[float, float] | None  # centre, width in modality values; None when absent or unusable


@dataclass(frozen=True, slots=True, kw_only=True)
class StackImage:
    """A slice with the attributes that tell stacks apart."""

    slice: SliceHead
    frame: FrameHead

    @property
    def order(self) -> tuple[str, int]:
        """A total order that no order of arrival changes."""
        return self.slice.image.sop_instance_uid, self.slice.image.frame_number or 0


Stack = tuple[StackImage, ...]


def stack_images(heads: Sequence[InstanceHead]) -> tuple[list[StackImage], int]:
    """Images with usable geometry, and how many lack it."""
    images, lacking = [], 0
    for head in heads:
        for frame in head.frames:
            if image := _stack_image(head, frame):
                images.append(image)
            else:
                lacking += 1
    return sorted(images, key=lambda image: image.order), lacking


def _stack_image(head: InstanceHead, frame: FrameHead) -> StackImage | None:
    if not has_geometry(frame):
        return None
    if frame.position_mm is None or frame.orientation is None or frame.pixel_spacing_mm is None:
        return None  # has_geometry said so already; said again for the type checker
    reference = ImageReference(
        sop_class_uid=head.sop_class_uid, sop_instance_uid=head.sop_instance_uid, frame_number=frame.frame_number
    )
    return StackImage(
        slice=SliceHead(
            image=reference,
            file=head.file,
            position_mm=frame.position_mm,
            orientation=frame.orientation,
            pixel_spacing_mm=frame.pixel_spacing_mm,
            rows=head.rows,
            columns=head.columns,
            window=frame.window,
        ),
        frame=frame,
    )


def by_orientation_and_size(images: Sequence[StackImage]) -> list[list[StackImage]]:
    """Groups of parallel images of one size, the largest first."""
    groups: list[list[StackImage]] = []
    for image in images:
        home = next((group for group in groups if _fits(group[0].slice, image.slice)), None)
        if home is None:
            groups.append([image])
        else:
            home.append(image)
    return sorted(groups, key=lambda group: (-len(group), group[0].order))


def _fits(a: SliceHead, b: SliceHead) -> bool:
    return (
        (a.rows, a.columns) == (b.rows, b.columns)
        and all(abs(p - q) <= 1e-3 * p for p, q in zip(a.pixel_spacing_mm, b.pixel_spacing_mm, strict=True))
        and is_parallel(a.orientation, b.orientation)
    )


def positions_mm(images: Sequence[StackImage]) -> list[float]:
    """Positions along the normal of the first image, in the order of `images`."""
    if not images:
        return []
    n = normal(images[0].slice.orientation)
    return [dot(image.slice.position_mm, n) for image in images]


def sort_along_normal(images: Sequence[StackImage]) -> Stack:
    """Sorted by position along the normal: never by InstanceNumber, which scanners and archives renumber."""
    if not images:
        return ()
    n = normal(images[0].slice.orientation)
    return tuple(sorted(images, key=lambda image: (dot(image.slice.position_mm, n), image.order)))


def split_repeats(images: Sequence[StackImage]) -> list[Stack]:
    """Parallel images -> stacks in which each position occurs once; a stack that no tag can part keeps its repeats.

    A series may hold several echoes, Dixon images, b-values, stations or time points of the same slices. They are
    parted by one attribute after the other, only as long as positions repeat, so that an ordinary stack whose
    AcquisitionNumber varies (concatenations) stays whole. Largest stack first, then the earliest echo and
    time.
    """
    groups: list[list[StackImage]] = [list(images)]
    for part in _PARTINGS:
        groups = [piece for group in groups for piece in (part(group) if has_repeats(group) else [group])]
    stacks = [sort_along_normal(group) for group in groups]
    return sorted(stacks, key=_preference)


def _preference(stack: Stack) -> tuple[int, float, int, tuple[str, int]]:
    first = stack[0]
    return -len(stack), first.frame.acquisition.echo_time_ms or 0.0, first.frame.temporal_position or 0, first.order


def has_repeats(images: Sequence[StackImage]) -> bool:
    """True when two images lie at the same position along the normal."""
    return len(slice_gaps_mm(positions_mm(images))) < len(images) - 1


_Parting = Callable[[Sequence[StackImage]], list[list[StackImage]]]


def _by(key: Callable[[StackImage], Hashable]) -> _Parting:
    """Parts images by the value of an attribute."""

    def part(images: Sequence[StackImage]) -> list[list[StackImage]]:
        parts: dict[Hashable, list[StackImage]] = {}
        for image in images:
            parts.setdefault(key(image), []).append(image)
        return list(parts.values())

    return part


def _by_station(images: Sequence[StackImage]) -> list[list[StackImage]]:
    """Parts images where a gap of more than STATION_MM lies between their places, along either axis of the plane."""
    rows = _where_gaps(images, slice(0, 3))
    return [station for row in rows for station in _where_gaps(row, slice(3, 6))]


def _where_gaps(images: Sequence[StackImage], axis: slice) -> list[list[StackImage]]:
    along = images[0].slice.orientation[axis]  # they are parallel
    placed = sorted(((dot(image.slice.position_mm, along), image) for image in images), key=lambda one: one[0])
    parts: list[list[StackImage]] = []
    last = 0.0
    for place, image in placed:
        if parts and place - last <= STATION_MM:
            parts[-1].append(image)
        else:
            parts.append([image])
        last = place
    return parts


_PARTINGS: Final[tuple[_Parting, ...]] = (
    _by(lambda image: image.frame.acquisition.image_type),
    _by(lambda image: (image.frame.acquisition.echo_time_ms, image.frame.acquisition.repetition_time_ms)),
    _by(lambda image: image.frame.acquisition.scan_options),
    _by(lambda image: image.frame.acquisition.b_value),
    _by(lambda image: image.frame.acquisition.inversion_time_ms),
    _by_station,
    _by(lambda image: image.frame.temporal_position),
    _by(lambda image: image.frame.acquisition_number),
)
