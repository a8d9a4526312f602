"""Encapsulated PDF (PS3.3 A.45.1): a whole PDF, of the declared length, with its sources."""

from collections.abc import Iterable

from node.report.check.reading import ReadDataset, data, items, name, number, text
from node.report.check.received import ReceivedReport
from node.report.check.verdict import summary_faults


def pdf_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    page = data(dataset, "EncapsulatedDocument")
    if not page.startswith(b"%PDF-"):
        yield "its document does not start as a PDF"
    length = number(dataset, "EncapsulatedDocumentLength")
    if not 0 < length <= len(page) <= length + 1:  # padded to even length
        yield f"{len(page)} bytes of document, {length} declared"
    if b"%%EOF" not in page[max(0, length - 32) : length]:
        yield "its document does not end as a PDF"
    if text(dataset, "MIMETypeOfEncapsulatedDocument") != "application/pdf":
        yield "MIMETypeOfEncapsulatedDocument is not application/pdf"
    if text(dataset, "BurnedInAnnotation") not in ("YES", "NO"):  # Type 1
        yield "BurnedInAnnotation is missing"
    if not text(dataset, "DocumentTitle"):
        yield "DocumentTitle is empty"
    yield from (f"DocumentTitle: {fault}" for fault in summary_faults(text(dataset, "DocumentTitle"), report))
    if text(dataset, "VerificationFlag") != "UNVERIFIED":
        yield "claims to be verified"
    if report.images and not items(dataset, "SourceInstanceSequence"):
        yield "does not say from which images it was made"
    if any(kind == "sr" and name(one) != name(dataset) for kind, one in report.objects):
        yield "has another title than the structured report"
