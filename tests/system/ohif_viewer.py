"""OHIF as a reader uses it: a study is opened, then a series by its thumbnail; what it shows is read in the page."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from tests.system.ohif import OhifSite
from tests.system.orthanc import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Tours and notices lie over the picture until someone has closed them once
_SEEN_BEFORE: Final = "window.localStorage?.setItem('shownTours', JSON.stringify(['basicViewerTour']))"
_DISPLAY_SETS: Final = """() => window.services.displaySetService.getActiveDisplaySets().map(set => ({
    uid: set.displaySetInstanceUID, series: set.SeriesInstanceUID, number: Number(set.SeriesNumber),
    modality: set.Modality, unsupported: Boolean(set.unsupported)}))"""
_SHOWN: Final = """() => { const {viewports, activeViewportId} = window.services.viewportGridService.getState();
    return viewports.get(activeViewportId).displaySetInstanceUIDs }"""
_IMAGE_ID: Final = """() => { const id = window.services.viewportGridService.getState().activeViewportId;
    return window.services.cornerstoneViewportService.getCornerstoneViewport(id)?.getCurrentImageId?.() ?? '' }"""
_RENDERED: Final = """() => { const id = window.services.viewportGridService.getState().activeViewportId;
    return window.services.cornerstoneViewportService.getCornerstoneViewport(id)?.viewportStatus === 'rendered' }"""
_ERROR_SCREEN: Final = "Something went wrong"


@dataclass(frozen=True, kw_only=True)
class DisplaySet:
    """What OHIF made of one series."""

    uid: str
    series: str  # Series Instance UID
    number: int  # Series Number
    modality: str
    unsupported: bool


class OhifViewer:
    def __init__(self, page: "Page", site: OhifSite) -> None:
        self.page = page
        self._site = site
        page.add_init_script(_SEEN_BEFORE)

    def open_study(self, study_instance_uid: str, series_count: int) -> None:
        """Open it in the basic viewer; wait until all series are listed and an image is shown.

        OHIF fails when the viewport that loads its first image is taken away from it.
        """
        self.page.goto(f"{self._site.url}/viewer?StudyInstanceUIDs={study_instance_uid}")
        self.page.wait_for_function(
            "count => window.services?.displaySetService.getActiveDisplaySets().length >= count", arg=series_count
        )
        self.page.wait_for_function(_RENDERED)

    def display_sets(self) -> list[DisplaySet]:
        return [DisplaySet(**found) for found in self.page.evaluate(_DISPLAY_SETS)]

    def open(self, wanted: DisplaySet) -> None:
        """By a double click on its thumbnail; wait until the viewport has taken it, where OHIF can show it at all."""
        self.page.locator(f"#thumbnail-{wanted.uid}").dblclick()
        if not wanted.unsupported:
            self.page.wait_for_function(f"uid => ({_SHOWN})().includes(uid)", arg=wanted.uid)

    def open_series(self, series_instance_uid: str) -> DisplaySet:
        (wanted,) = [one for one in self.display_sets() if one.series == series_instance_uid]
        self.open(wanted)
        return wanted

    def wait_for_image(self, sop_instance_uid: str) -> None:
        """Until the viewport shows this instance."""
        self.page.wait_for_function(f"uid => ({_IMAGE_ID})().includes('/instances/' + uid + '/')", arg=sop_instance_uid)

    def wait_for_image_of(self, series_instance_uid: str) -> None:
        """Until the viewport shows an image of this series."""
        self.page.wait_for_function(f"uid => ({_IMAGE_ID})().includes('/series/' + uid + '/')", arg=series_instance_uid)

    def wait_for(self, expression: str, argument: Any = None, *, timeout_s: float = 60) -> None:
        """Until an expression is true in the page."""
        self.page.wait_for_function(expression, arg=argument, timeout=timeout_s * 1000)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Until something is seen; fails after a minute."""
        wait_until(condition, timeout_s=60, what="the page shows it")

    def press(self, button: str) -> None:
        """A button by OHIF's own name for tests."""
        self.page.locator(f'[data-cy="{button}"]').click()

    def image_shown(self) -> str:
        """SOP Instance UID of the image in the viewport."""
        return str(self.page.evaluate(_IMAGE_ID)).partition("/instances/")[2].partition("/")[0]

    def evaluate(self, expression: str, argument: Any = None) -> Any:
        return self.page.evaluate(expression, argument)

    def text(self) -> str:
        """Everything that can be read in the page."""
        return self.page.locator("body").inner_text()

    def has_failed(self) -> bool:
        return _ERROR_SCREEN in self.text()

    def picture(self) -> Image.Image:
        """The viewport as it stands on the screen."""
        return Image.open(BytesIO(self.page.locator('[data-cy="viewport-pane"]').first.screenshot())).convert("RGB")
