"""The pictures of docs/phantom.md: every family, region, kind of sequence, site, mimic and artefact."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from inference.datasets import SpineRegion
from inference.findings import SequenceKind, Verdict
from inference.phantom.distractors import axial_t2, localizer
from inference.phantom.gallery.examples import family_examples, lumbar_count, mimic_example, with_signs
from inference.phantom.gallery.sheet import Sheet, Tile, grey
from inference.phantom.gallery.tiles import in_two_columns, lesion_tiles, middle_tile, place_tile, slice_tile
from inference.phantom.law import Sign
from inference.phantom.lesions.mimics import MimicKind
from inference.phantom.patient import PhantomSeries, central_window, generate_patient, take_images
from inference.phantom.scanner.acquisition import Artefact
from inference.phantom.subject import PhantomConfig, draw_subject

SEED: Final = 2026
_UPPER: Final = 4  # a patient whose lumbar station is centred on L3
_KINDS: Final = [str(kind) for kind in SequenceKind]
_HEALTHY: Final = PhantomConfig(lesion_free_fraction=1.0)
_LUMBAR: Final = replace(_HEALTHY, regions=(SpineRegion.LUMBAR,))
_ILL: Final = PhantomConfig(lesion_free_fraction=0.0)


def pictures() -> Iterator[tuple[str, Callable[[], Sheet]]]:
    """Name of the file without its ending, and how the sheet is made."""
    yield "regions", regions
    yield "slices", slices
    yield "families-benign", partial(families, Verdict.BENIGN)
    yield "families-malignant", partial(families, Verdict.MALIGNANT)
    yield "signs", signs
    yield "mimics", mimics
    yield "boxes", boxes
    yield "sites", sites
    yield "artefacts", artefacts
    yield "stations", stations
    yield "variants", variants
    yield "distractors", distractors


def regions() -> Sheet:
    """One healthy patient per region: columns of regions, rows of kinds."""
    columns = []
    for number, region in enumerate(SpineRegion):
        config = replace(_HEALTHY, regions=(region,), sites=(number,))
        subject = draw_subject(3, seed=SEED, config=config)
        series = take_images(subject, 3, seed=SEED, config=config, artefacts=())
        columns.append([middle_tile(one) for one in series])
    return Sheet(
        title="Regions",
        rows=[list(row) for row in zip(*columns, strict=True)],
        row_labels=_KINDS,
        column_labels=[f"{region} spine" for region in SpineRegion],
        tile=(190, 190),
    )


def slices() -> Sheet:
    t2 = generate_patient(_UPPER, seed=SEED, config=replace(_LUMBAR, sites=(8,))).series[1]
    tiles = [slice_tile(t2, number) for number in range(10)]
    return Sheet(
        title="Slices of one lumbar T2 series, from the left side to the right",
        rows=[tiles[:5], tiles[5:]],
        row_labels=["", ""],
        column_labels=[],
        tile=(170, 170),
    )


def families(verdict: Verdict) -> Sheet:
    """The example of each family whose signs are the most typical."""
    examples = family_examples(verdict, seed=SEED, config=_ILL)
    rows, labels = [], []
    for family, index in examples.items():
        patient = generate_patient(index, seed=SEED, config=_ILL)
        rows.append(lesion_tiles(patient.series))
        labels.append(f"{family.replace('_', ' ')}, {patient.truth.lesions[0].level}")
    return in_two_columns(f"{verdict.capitalize()} families", rows, labels, _KINDS)


def signs() -> Sheet:
    """Each sign of the label law alone, in one and the same body."""
    rows, labels = [], []
    config = replace(_LUMBAR, sites=(2,))
    for sign in (None, *Sign):
        subject = with_signs(() if sign is None else (sign,), seed=SEED, config=config)
        rows.append(lesion_tiles(take_images(subject, 0, seed=SEED, config=config)))
        labels.append("no sign" if sign is None else sign.replace("_", " "))
    return in_two_columns("Signs of the label law, one at a time", rows, labels, _KINDS)


def mimics() -> Sheet:
    rows, labels = [], []
    for kind in MimicKind:
        index, mimic = mimic_example(kind, seed=SEED, config=_LUMBAR)
        patient = generate_patient(index, seed=SEED, config=_LUMBAR)
        rows.append([place_tile(series, mimic.centre_mm) for series in patient.series])
        labels.append(f"{kind.replace('_', ' ')}, {mimic.level}")
    return in_two_columns("Harmless findings: in every class alike, never labelled", rows, labels, _KINDS)


def boxes() -> Sheet:
    """Patients of three regions with their planted boxes."""
    rows, labels = [], []
    for region in (SpineRegion.CERVICAL, SpineRegion.THORACIC, SpineRegion.LUMBAR):
        config = replace(_ILL, regions=(region,))
        index = next(n for n in range(10**4) if draw_subject(n, seed=SEED, config=config).truth.signs[Sign.MULTILEVEL])
        patient = generate_patient(index, seed=SEED, config=config)
        rows.append([_fullest(series) for series in patient.series])
        labels.append(f"{region},\n{patient.truth.label}")
    return Sheet(title="Planted boxes", rows=rows, row_labels=labels, column_labels=_KINDS, tile=(215, 215))


def _fullest(series: PhantomSeries) -> Tile:
    return slice_tile(series, max(range(len(series.boxes)), key=lambda k: len(series.boxes[k])), boxes=True)


def sites() -> Sheet:
    """One and the same patient at six sites."""
    numbers = range(6)
    patients = [generate_patient(_UPPER, seed=SEED, config=replace(_LUMBAR, sites=(number,))) for number in numbers]
    return Sheet(
        title="One patient at six sites",
        rows=[[middle_tile(patient.series[row]) for patient in patients] for row in range(3)],
        row_labels=_KINDS,
        column_labels=[patient.site for patient in patients],
        tile=(140, 140),
    )


def artefacts() -> Sheet:
    """Series with and without ghosts and motion; two windows, because ghosts are faint."""
    config = replace(_LUMBAR, sites=(1,))
    subject = draw_subject(_UPPER, seed=SEED, config=config)
    tiles = []
    for shown in ((), (Artefact.GHOSTS,), (Artefact.MOTION,)):
        series = take_images(subject, _UPPER, seed=SEED, config=config, artefacts=shown)[1]
        centre, width = series.window
        image = series.pixels[len(series.pixels) // 2]
        tiles.append([Tile(grey(image, (centre, width))), Tile(grey(image, (centre / 4, width / 4)))])
    return Sheet(
        title="Artefacts",
        rows=[list(row) for row in zip(*tiles, strict=True)],
        row_labels=["T2", "T2, a\nquarter of\nthe window"],
        column_labels=["none", "ghosts of blood and CSF", "motion"],
        tile=(220, 220),
    )


def stations() -> Sheet:
    config = replace(_HEALTHY, regions=(SpineRegion.CERVICAL,), sites=(4,), stations=2)
    series = generate_patient(2, seed=SEED, config=config).series
    return Sheet(
        title="Two stations of one patient, in one frame of reference",
        rows=[[middle_tile(one) for one in series[start : start + 3]] for start in (0, 3)],
        row_labels=[series[0].station, series[3].station],
        column_labels=_KINDS,
        tile=(215, 215),
    )


def variants() -> Sheet:
    """Four, five and six lumbar vertebrae."""
    tiles = []
    for count in (4, 5, 6):
        index = lumbar_count(count, seed=SEED, config=_LUMBAR)
        tiles.append([middle_tile(series) for series in generate_patient(index, seed=SEED, config=_LUMBAR).series[:2]])
    return Sheet(
        title="Variants of the lumbar spine",
        rows=[list(row) for row in zip(*tiles, strict=True)],
        row_labels=_KINDS[:2],
        column_labels=["four vertebrae", "five vertebrae", "six vertebrae"],
        tile=(220, 220),
    )


def distractors() -> Sheet:
    """Series that a pipeline must leave out."""
    patient = generate_patient(_UPPER, seed=SEED, config=replace(_LUMBAR, sites=(2,)))
    stacks = (axial_t2(patient), *localizer(patient))
    tiles = [Tile(grey(stack.pixels[len(stack.pixels) // 2], central_window(stack.pixels))) for stack in stacks]
    return Sheet(
        title="Series that a pipeline must leave out",
        rows=[tiles],
        row_labels=[""],
        column_labels=["axial T2", "localizer, sagittal", "localizer, coronal", "localizer, axial"],
        tile=(190, 190),
    )
