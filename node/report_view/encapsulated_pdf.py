"""Encapsulated PDF: the document as it is, and its pages as PNG."""

from typing import Final

import pypdfium2
from pydicom.dataset import Dataset

from node.report_view.output import Output, png
from node.report_view.source_files import SourceFiles

_DOTS_PER_INCH: Final = 144
_MOST_PAGES: Final = 20  # as pictures; ours have one


def render_pdf(dataset: Dataset, _sources: SourceFiles) -> list[Output]:
    padded = bytes(dataset.EncapsulatedDocument)
    content = padded[: int(dataset.get("EncapsulatedDocumentLength") or len(padded))]
    document = pypdfium2.PdfDocument(content)
    try:
        scale = _DOTS_PER_INCH / 72
        pages = [document[number].render(scale=scale).to_pil() for number in range(min(len(document), _MOST_PAGES))]
        captions = [f"Page {number} of {len(document)}" for number in range(1, len(pages) + 1)]
    finally:
        document.close()
    pictures = [png(page, caption) for page, caption in zip(pages, captions, strict=True)]
    return [Output(ending="pdf", content=content, caption="PDF"), *pictures]
