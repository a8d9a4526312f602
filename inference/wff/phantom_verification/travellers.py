"""Travellers: phantom patients whose DICOM files, as several sites write them, go through the whole pipeline.

Every box that comes back names an image by its UID. It is compared with what was planted on that very image, and with
what the same detector says of the same slice as it lies in a training data set, where no DICOM was in the way.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from inference.case import Case
from inference.evaluation.subject import PHANTOM_HEADING
from inference.findings import Box, BundleIdentity, Findings, Lesion
from inference.phantom.data_set import windowed
from inference.phantom.dicom import StudyForm
from inference.phantom.dicom.habits import habits_of_site
from inference.phantom.dicom.study import StudyFile, study_files, write_file
from inference.phantom.patient import PhantomPatient, PhantomSeries, generate_patient
from inference.pipeline import Pipeline
from inference.wff.evaluation.hits import HIT_IOU
from inference.wff.model import WffModel
from inference.wff.phantom_verification.cohorts import HELD_OUT, HOME_SITES, PLAIN, phantom_set
from inference.wff.phantom_verification.geometry import first_and_last_corner_mm
from inference.wff.phantom_verification.scale import Scale
from inference.wff.pipeline import WffPipeline
from inference.wff.reading import lesions_of
from inference.wff.training.display import Display

_FIRST: Final = 600_000  # number of the first patient: no other part has it
_FORMS: Final = (False, True)  # classic, Enhanced

_Image = tuple[str, int | None]  # SOPInstanceUID and frame
_Boxes = Sequence[Box]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One traveller in one form. Lengths are the largest of all boxes."""

    traveller: int
    site: str
    images: int
    boxes: int  # that the pipeline reports
    without_twin: int  # boxes of the pipeline or of the arrays, of which the other has none on the same image
    series_lost: int  # left out, taken for another kind, or read in another order
    pixels: float  # between corners of twins, along rows or columns
    millimetres: float  # the same in space, by the corners that the pipeline reports
    planted: int  # boxes
    hit: int  # planted boxes on whose image the pipeline reports a box that lies on them
    hit_on_arrays: int
    offsets: tuple[tuple[float, float], ...]  # pixels (x, y) from the centre of a planted box to that of the found one


def pipeline_of(model: WffModel) -> WffPipeline:
    """As the node would run the model."""
    return WffPipeline(
        model,
        BundleIdentity(
            pipeline="wff",
            name="verify-phantom",
            version="0",
            sha256="",
            trained_on=PHANTOM_HEADING,
            validated_on=PHANTOM_HEADING,
            phantom_trained=True,
        ),
    )


def travel(pipeline: Pipeline, model: WffModel, scale: Scale, folder: Path, display: Display) -> list[Journey]:
    """`scale.travellers` patients of different sites, each in both forms. `model` is that of the pipeline.

    The files are removed again.
    """
    update = display.stage("through the pipeline", scale.travellers)
    journeys: list[Journey] = []
    for number in range(scale.travellers):
        patient = traveller(scale, number)
        on_arrays = [_on_array(model, series) for series in patient.series]
        for enhanced in _FORMS:
            files = folder / f"traveller-{number}"
            shutil.rmtree(files, ignore_errors=True)
            form = StudyForm(enhanced=enhanced, distractors=True, habits=habits_of_site(patient.site))
            journeys.append(_journey(number, patient, form, files, pipeline, on_arrays))
            shutil.rmtree(files)
        update(number + 1, "")
    return journeys


def traveller(scale: Scale, number: int) -> PhantomPatient:
    """With a lesion; each from another site."""
    config = replace(
        phantom_set(scale, HELD_OUT, 1, PLAIN).config,
        lesion_free_fraction=0.0,
        sites=(HOME_SITES[number % len(HOME_SITES)],),
    )
    return generate_patient(_FIRST + number, seed=scale.seed, config=config)


def _on_array(model: WffModel, series: PhantomSeries) -> list[_Boxes]:
    """Per slice what would be reported of the painted series as a training data set holds it."""
    return [[one.box for one in lesions_of(boxes, model.config.fusion.tau)] for boxes in model.detect(windowed(series))]


def _journey(
    number: int,
    patient: PhantomPatient,
    form: StudyForm,
    folder: Path,
    pipeline: Pipeline,
    on_arrays: Sequence[Sequence[_Boxes]],
) -> Journey:
    folder.mkdir(parents=True)
    files = list(study_files(patient, form))
    findings = pipeline.run(Case(case_id=folder.name, files=tuple(write_file(file, folder) for file in files)))
    reported: dict[_Image, list[Lesion]] = defaultdict(list)
    for lesion in findings.lesions:
        reported[lesion.image.sop_instance_uid, lesion.image.frame_number].append(lesion)
    slices = [
        _Slice(series, position, reported.pop(image, []), on_array[position])
        for series, on_array in zip(patient.series, on_arrays, strict=True)
        for position, image in enumerate(_images(files, series))
    ]
    strays = sum(map(len, reported.values()))  # boxes that name no image of the patient's sagittal series
    return Journey(
        traveller=number,
        site=patient.site,
        images=len(slices),
        boxes=len(findings.lesions),
        without_twin=strays + sum(one.without_twin for one in slices),
        series_lost=sum(not _is_used(findings, files, series) for series in patient.series),
        pixels=max((pixels for one in slices for pixels, _ in one.twins()), default=0.0),
        millimetres=max((mm for one in slices for _, mm in one.twins()), default=0.0),
        planted=sum(len(one.planted) for one in slices),
        hit=sum(_hits(one.planted, one.found) for one in slices),
        hit_on_arrays=sum(_hits(one.planted, one.on_array) for one in slices),
        offsets=tuple(offset for one in slices for offset in one.offsets()),
    )


@dataclass(frozen=True, slots=True)
class _Slice:
    series: PhantomSeries
    position: int
    lesions: Sequence[Lesion]  # that the pipeline reports of the image with this slice
    on_array: _Boxes

    @property
    def found(self) -> list[Box]:
        return [lesion.box for lesion in self.lesions]

    @property
    def planted(self) -> _Boxes:
        return self.series.boxes[self.position]

    @property
    def without_twin(self) -> int:
        return abs(len(self.lesions) - len(self.on_array))

    def twins(self) -> Iterator[tuple[float, float]]:
        """Pixels and millimetres from each box to the nearest one of the other side, both ways."""
        pairs = [(lesion, _nearest(lesion.box, self.on_array)) for lesion in self.lesions if self.on_array]
        for box in self.on_array if self.lesions else ():
            nearest = _nearest(box, self.found)
            pairs.append((self.lesions[self.found.index(nearest)], box))
        for lesion, twin in pairs:
            yield _apart(lesion.box, twin), self._apart_mm(lesion, twin)

    def _apart_mm(self, lesion: Lesion, twin: Box) -> float:
        """By the corners in space that the report has, and by the geometry that was painted."""
        hull = (twin.x0, twin.y0, twin.x1, twin.y1)
        painted = first_and_last_corner_mm(self.position, hull, self.series.affine_lps)
        told = np.array([lesion.corners_mm[0], lesion.corners_mm[2]])
        return float(np.linalg.norm(told - painted, axis=1).max())

    def offsets(self) -> Iterator[tuple[float, float]]:
        for box in self.found:
            on = max(self.planted, key=box.overlap, default=None)
            if on is not None and box.overlap(on) >= HIT_IOU:
                yield (box.x0 + box.x1 - on.x0 - on.x1) / 2.0, (box.y0 + box.y1 - on.y0 - on.y1) / 2.0


def _nearest(box: Box, others: _Boxes) -> Box:
    return min(others, key=lambda other: _apart(box, other))


def _apart(one: Box, other: Box) -> float:
    """The worst edge, in pixels."""
    return max(abs(one.x0 - other.x0), abs(one.y0 - other.y0), abs(one.x1 - other.x1), abs(one.y1 - other.y1))


def _hits(planted: _Boxes, found: _Boxes) -> int:
    return sum(any(box.overlap(one) >= HIT_IOU for box in found) for one in planted)


def _images(files: Sequence[StudyFile], series: PhantomSeries) -> list[_Image]:
    """Of each slice of the painted series, in its order."""
    places: Mapping[int, _Image] = {
        position: (str(file.header.SOPInstanceUID), file.frame_of(position))
        for file in files
        if file.stack.series is series
        for position in file.slices
    }
    return [places[position] for position in range(len(series.pixels))]


def _is_used(findings: Findings, files: Sequence[StudyFile], series: PhantomSeries) -> bool:
    """Read as what it is, slices in the order in which they were painted."""
    read = {
        (one.kind, tuple((image.sop_instance_uid, image.frame_number) for image in one.images))
        for one in findings.series_used
    }
    return (series.kind, tuple(_images(files, series))) in read
