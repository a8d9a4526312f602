"""A real browser without a window: Debian's Chromium, led by Playwright, one at a time on a machine."""

import fcntl
import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM: Final = shutil.which("chromium")
WIDTH, HEIGHT = 1600, 1000
# No sandbox: CI runs as root in a container. SwiftShader: WebGL without a graphics card.
_OPTIONS: Final = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-dev-shm-usage")
_LOCK: Final = Path(tempfile.gettempdir()) / "spinenode-browser.lock"


def missing() -> str:
    """Why no browser can be started here; empty when one can."""
    if CHROMIUM is None:
        return "chromium is not installed (apt-get install chromium)"
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed (make setup)"
    return ""


@contextmanager
def browser_page(width: int = WIDTH, height: int = HEIGHT) -> Iterator["Page"]:
    """One empty page. Waits while another process of this machine has a browser: each takes a gigabyte."""
    from playwright.sync_api import sync_playwright

    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_OPTIONS))
            try:
                page = browser.new_page(viewport={"width": width, "height": height})
                page.set_default_timeout(60_000)
                yield page
            finally:
                browser.close()
