"""The gallery: its page and its pictures go together, and no real patient gets into it."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from inference.datasets import SpineRegion
from inference.findings import Box, SequenceKind
from inference.phantom import PhantomConfig
from inference.phantom.gallery import pictures as gallery
from inference.phantom.gallery.__main__ import app
from inference.phantom.gallery.beside_real import beside_real
from inference.phantom.gallery.sheet import LARGEST_BYTES, NOTICE, Sheet, Tile, cropped, grey, small_png
from tests.real_data import real_data

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_shows_every_picture_that_the_command_makes_and_no_other() -> None:
    shown = re.findall(r"\]\(images/phantom/([a-z-]+)\.png\)", (DOCS / "phantom.md").read_text())

    assert sorted(shown) == sorted(name for name, _ in gallery.pictures())
    assert sorted(path.stem for path in (DOCS / "images" / "phantom").glob("*")) == sorted(shown)


def test_every_picture_is_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (DOCS / "images" / "phantom").glob("*.png")}

    assert sizes
    assert max(sizes.values()) <= LARGEST_BYTES


def test_the_page_says_what_the_phantom_is_before_anything_else() -> None:
    head = (DOCS / "phantom.md").read_text().split("##", maxsplit=1)[0]

    assert NOTICE in head.lower()


def test_noise_is_made_to_fit() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (900, 900), dtype=np.uint8)

    content = small_png(Image.fromarray(noise))

    assert len(content) <= LARGEST_BYTES
    assert Image.open(io.BytesIO(content)).format == "PNG"


def test_a_calm_picture_keeps_its_size_and_greys() -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))

    shown = np.asarray(Image.open(io.BytesIO(small_png(Image.fromarray(ramp)))).convert("L"))

    assert shown.shape == ramp.shape
    assert np.abs(shown.astype(int) - ramp).max() <= 3


def test_a_crop_moves_its_boxes_with_it() -> None:
    image = np.zeros((40, 40), dtype=np.uint8)
    image[10:14, 20:26] = 255
    tile = Tile(image, (Box(x0=20, y0=10, x1=26, y1=14),))

    around = cropped(tile, (2.0, 12.0), 30)

    (box,) = around.boxes
    lit = np.argwhere(around.grey == 255)
    assert around.grey.shape == (60, 60)
    assert (lit.min(axis=0).tolist(), lit.max(axis=0).tolist()) == ([box.y0, box.x0], [box.y1 - 1, box.x1 - 1])


def test_a_window_maps_its_ends_to_black_and_white() -> None:
    values = np.array([[0, 100, 200, 300, 400]], dtype=np.uint16)

    assert grey(values, (200.0, 200.0)).tolist() == [[0, 0, 128, 255, 255]]


def test_a_sheet_holds_a_tile_per_place_and_the_notice() -> None:
    white = Tile(np.full((8, 8), 255, dtype=np.uint8))
    sheet = Sheet(title="A title", rows=[[white, white]], row_labels=["row"], column_labels=["a", "b"], tile=(50, 40))

    page = np.asarray(sheet.image())

    assert (page == 255).sum() >= 2 * 50 * 40
    head = np.asarray(Sheet(title="", rows=[[white]], row_labels=[""], column_labels=[], tile=(300, 40)).image())[:30]
    assert (head > 100).sum() > 100  # the notice is written even where there is no title


def test_the_variants_show_both_weightings_of_three_spines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "_LUMBAR", PhantomConfig(lesion_free_fraction=1.0, matrix=64))

    sheet = gallery.variants()

    assert [len(row) for row in sheet.rows] == [3, 3]


def test_a_picture_beside_a_real_study_has_both_in_every_kind() -> None:
    study = real_data("spine-hitachi-airis-vento-lumbar")

    sheet = beside_real(study, SpineRegion.LUMBAR, 8, matrix=64)

    assert sheet.row_labels == [str(kind) for kind in SequenceKind]
    assert [len(row) for row in sheet.rows] == [4, 4, 4]
    assert all(tile.grey.std() > 5.0 for row in sheet.rows for tile in row)


def test_a_study_without_a_spine_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("no image")

    with pytest.raises(ValueError, match="holds no sagittal"):
        beside_real(tmp_path, SpineRegion.LUMBAR, 0, matrix=64)


def test_the_picture_of_a_real_study_is_kept_out_of_the_gallery(tmp_path: Path) -> None:
    options = ["--out", str(tmp_path), "--real", str(tmp_path), "--beside", str(tmp_path / "beside.png")]

    result = CliRunner().invoke(app, options)

    assert result.exit_code == 2
    assert not list(tmp_path.iterdir())


def test_an_unknown_picture_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--out", str(tmp_path), "--only", "families"])

    assert result.exit_code == 2
    assert "families-benign" in result.output
