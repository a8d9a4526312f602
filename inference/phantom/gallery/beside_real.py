"""The phantom beside a real study, at the same millimetres and the same rule of the window.

For the eye only: the picture shows a patient, so it is written outside the project.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.datasets import SpineRegion
from inference.findings import SequenceKind
from inference.phantom.gallery.sheet import Sheet, Tile, grey
from inference.phantom.patient import central_window, generate_patient
from inference.phantom.subject import PhantomConfig
from inference.selection import read_head, select_series
from inference.volume import load_volume

_SHOWN_MM: Final = 250.0  # side of a tile
_OFF_MIDLINE_MM: Final = 14.0
_SEED: Final = 2026


def beside_real(study: Path, region: SpineRegion, site: int, *, matrix: int = 512) -> Sheet:
    """Real and phantom slices of each kind: the middle one, and one beside it.

    Raises
    ------
    ValueError
        the folder holds no sagittal spine series of a known kind.
    """
    real = _real_tiles(study)
    if not real:
        raise ValueError(f"{study} holds no sagittal T1, T2 or fat-suppressed T2 series of the spine")
    config = PhantomConfig(lesion_free_fraction=1.0, regions=(region,), sites=(site,), matrix=matrix)
    phantom = {
        series.kind: _pair(series.pixels, series.pixel_spacing_mm[0], series.spacing_mm)
        for series in generate_patient(0, seed=_SEED, config=config).series
    }
    kinds = [kind for kind in SequenceKind if kind in real]
    return Sheet(
        title="Real study (left) and phantom (right)",
        rows=[[*real[kind], *phantom[kind]] for kind in kinds],
        row_labels=[str(kind) for kind in kinds],
        column_labels=["real, middle", "real, beside", "phantom, middle", "phantom, beside"],
        tile=(420, 420),
    )


def _real_tiles(study: Path) -> dict[SequenceKind, list[Tile]]:
    files = sorted(path for path in study.rglob("*") if path.is_file())
    tiles = {}
    for series in select_series([read_head(file) for file in files]).eligible:
        volume = load_volume(series)
        columns_mm = float(np.linalg.norm(volume.affine_lps[:3, 2]))
        tiles[series.kind] = _pair(volume.pixels, columns_mm, float(np.linalg.norm(volume.affine_lps[:3, 0])))
    return tiles


def _pair(pixels: NDArray[np.number], pixel_mm: float, step_mm: float) -> list[Tile]:
    """The middle slice and the one beside it, each `_SHOWN_MM` wide around the middle of what is not black."""
    middle = len(pixels) // 2
    beside = min(len(pixels) - 1, middle + round(_OFF_MIDLINE_MM / step_mm))
    window = central_window(pixels)
    half = round(_SHOWN_MM / pixel_mm / 2)
    row, column = (size // 2 for size in pixels.shape[1:])
    tiles = []
    for number in (middle, beside):
        padded = np.pad(grey(pixels[number], window), half)
        tiles.append(Tile(padded[row : row + 2 * half, column : column + 2 * half]))
    return tiles
