"""Takes the pictures of docs/results.md: reports about phantom patients in DCMTK, Orthanc, OHIF and `report show`.

Run by `make results-page`. Every picture shows a synthetic phantom; no patient is in any of them.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw, ImageFont

from node.report.context import ReportKind
from tests.system import ohif
from tests.system.browser import browser_page
from tests.system.demo_reports import DemoReport, lesion_report, negative_report, not_analysed_report
from tests.system.ohif import OhifSite
from tests.system.ohif_viewer import OhifViewer
from tests.system.orthanc import DICOM_WEB, Orthanc

if TYPE_CHECKING:
    from playwright.sync_api import Page

PICTURES: Final = Path(__file__).parents[2] / "docs" / "images" / "results"
LARGEST_BYTES: Final = 200_000
LARGEST_SUM_BYTES: Final = 2_000_000
_QUALITIES: Final = (85, 75, 65, 50)  # of WebP, the best that is small enough
_WIDTH, _HEIGHT = 1360, 850
_PAGE_WIDTH: Final = 900  # a document is read in a narrower window
_LABEL: Final = "Synthetic phantom, no patient. AI result without clinical meaning."
_LABEL_HEIGHT: Final = 28
_LABEL_GROUND, _LABEL_INK = "#ffc107", "#000000"
_SETTLED_MS: Final = 1500  # after a state is reached: text of the corners and thumbnails follow


def main() -> None:
    if reason := ohif.missing():
        sys.exit(f"no pictures can be taken: {reason}")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="spinenode-results-") as name:
        folder = Path(name)
        reports = {
            "lesion": lesion_report(folder / "lesion"),
            "negative": negative_report(folder / "negative"),
            "not-analysed": not_analysed_report(folder / "not-analysed"),
        }
        _documents(reports, folder)
        _with_orthanc(reports, folder)
    _check_sizes()


def _middle(pages: Iterable[Path]) -> Path:
    """As many pages as images vote; at least one."""
    ordered = sorted(pages)
    return ordered[len(ordered) // 2]


def _documents(reports: dict[str, DemoReport], folder: Path) -> None:
    """What needs no archive: the report as DCMTK writes it, and the pages of `spinenode report show`."""
    html = folder / "sr.html"
    subprocess.run(["dsr2html", "+U8", str(reports["lesion"].objects["sr"][0]), str(html)], check=True, timeout=60)
    shown = folder / "shown"
    reports["lesion"].show(shown)
    with browser_page(_PAGE_WIDTH, 1100) as page:
        for name, source in (
            ("dsr2html-sr", html),
            ("report-show-sr", shown / "case-1-sr-1.html"),
            ("report-show-key-objects", shown / "case-1-key-objects-1.html"),
        ):
            page.goto(source.as_uri())
            _keep(name, page.screenshot())
    for name, source in (
        ("report-show-presentation-state", _middle(shown.glob("case-1-presentation-state-2-*.png"))),
        ("report-show-segmentation", _middle(shown.glob("case-1-segmentation-2-*.png"))),
    ):
        _keep(name, source.read_bytes())


def _with_orthanc(reports: dict[str, DemoReport], folder: Path) -> None:
    pacs = Orthanc(folder / "orthanc", plugins=(DICOM_WEB,))
    site = OhifSite(pacs)
    pacs.start({})
    site.start()
    try:
        for report in reports.values():
            pacs.upload([*report.images, *(path for paths in report.objects.values() for path in paths)])
        _orthanc(pacs, reports["lesion"])
        for name, report, kind, act in (
            ("ohif-sr", reports["lesion"], "sr", _read_on),
            ("ohif-sr-negative", reports["negative"], "sr", None),
            ("ohif-sr-not-analysed", reports["not-analysed"], "sr", None),
            ("ohif-summary", reports["lesion"], "summary", None),
            ("ohif-overlay", reports["lesion"], "overlay", None),
            ("ohif-segmentation", reports["lesion"], "segmentation", _take_segmentation),
            ("ohif-pdf", reports["lesion"], "pdf", None),
            ("ohif-not-shown", reports["lesion"], "presentation_state", None),
        ):
            _ohif(site, name, report, kind, act)
    finally:
        site.stop()
        pacs.stop()


def _orthanc(pacs: Orthanc, report: DemoReport) -> None:
    """Its explorer, and the pictures as it renders them."""
    (study,) = pacs.api.post("/tools/lookup", content=report.study_instance_uid).json()
    with browser_page(_WIDTH, 1100) as page:
        page.goto(f"http://127.0.0.1:{pacs.http_port}/app/explorer.html#study?uuid={study['ID']}")
        page.locator("#list-series").get_by_text(str(report.header("pdf").SeriesDescription)).first.wait_for()
        page.wait_for_timeout(_SETTLED_MS)
        _keep("orthanc-explorer", page.screenshot())
    kinds: tuple[ReportKind, ...] = ("summary", "overlay")
    for kind in kinds:
        (instance,) = pacs.api.post("/tools/lookup", content=str(report.header(kind).SOPInstanceUID)).json()
        _keep(f"orthanc-{kind}", pacs.api.get(f"/instances/{instance['ID']}/preview").content)


def _ohif(
    site: OhifSite, name: str, report: DemoReport, kind: ReportKind, act: "Callable[[Page], None] | None"
) -> None:
    with browser_page(_WIDTH, _HEIGHT) as page:
        viewer = OhifViewer(page, site)
        viewer.open_study(report.study_instance_uid, report.series_count)
        viewer.open_series(str(report.header(kind).SeriesInstanceUID))
        page.wait_for_timeout(_SETTLED_MS)
        if act is not None:
            act(page)
            page.wait_for_timeout(_SETTLED_MS)
        if viewer.has_failed():
            raise RuntimeError(f"OHIF shows an error screen for {name}")
        _keep(name, page.screenshot())


def _read_on(page: "Page") -> None:
    """Close the question whether measurements are to be tracked, and go on to the next box."""
    page.locator('[data-cy="no-hydrate-btn"]').click()
    page.wait_for_timeout(_SETTLED_MS)
    page.locator('[data-cy="viewport-action-arrows-right"]').click()


def _take_segmentation(page: "Page") -> None:
    page.locator('[data-cy="yes-hydrate-btn"]').click()


def _keep(name: str, picture: bytes) -> None:
    """As WebP with the label below, in the best quality that is small enough."""
    image = _labelled(Image.open(BytesIO(picture)).convert("RGB"))
    for quality in _QUALITIES:
        image.save(PICTURES / f"{name}.webp", quality=quality, method=6)
        if (PICTURES / f"{name}.webp").stat().st_size <= LARGEST_BYTES:
            return
    raise RuntimeError(f"{name} stays larger than {LARGEST_BYTES} bytes")


def _labelled(picture: Image.Image) -> Image.Image:
    """No wider than the page needs, with a strip below that says what is shown."""
    if picture.width > _WIDTH:
        height = round(picture.height * _WIDTH / picture.width)
        picture = picture.resize((_WIDTH, height), Image.Resampling.LANCZOS)
    labelled = Image.new("RGB", (picture.width, picture.height + _LABEL_HEIGHT), _LABEL_GROUND)
    labelled.paste(picture, (0, 0))
    pen = ImageDraw.Draw(labelled)
    middle = (picture.width / 2, picture.height + _LABEL_HEIGHT / 2)
    pen.text(middle, _LABEL, fill=_LABEL_INK, font=ImageFont.load_default(16), anchor="mm")
    return labelled


def _check_sizes() -> None:
    total = sum(path.stat().st_size for path in PICTURES.iterdir())
    if total > LARGEST_SUM_BYTES:
        raise RuntimeError(f"{PICTURES} holds {total} bytes, at most {LARGEST_SUM_BYTES} are wanted")


if __name__ == "__main__":
    main()
