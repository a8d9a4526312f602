"""What is made of one stored object."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from PIL import Image
from pydicom.dataset import Dataset

from node.report_view.source_files import SourceFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One file beside the others: its ending, and what it shows."""

    ending: str  # "html", "png" or "pdf"
    content: bytes
    caption: str


Render = Callable[[Dataset, SourceFiles], list[Output]]


def png(image: Image.Image, caption: str) -> Output:
    buffer = BytesIO()
    image.save(buffer, format="PNG")
    return Output(ending="png", content=buffer.getvalue(), caption=caption)
