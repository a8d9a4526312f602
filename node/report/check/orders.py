"""What a report belongs to besides its study: the request that it answers and the report that it replaces."""

from collections.abc import Iterable

from node.report.check.identity import plain_text
from node.report.check.reading import ReadDataset, items, text, value
from node.report.check.received import ReceivedReport


def request_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    """PS3.3 C.17.2: only requests that the images name, under the study and its number."""
    asked = items(report.source, "RequestAttributesSequence")
    known = {plain_text(item, "RequestedProcedureID") for item in asked}
    is_readable = not any(isinstance(value(item, "RequestedProcedureID"), bytes) for item in asked)
    for request in items(dataset, "ReferencedRequestSequence"):
        if is_readable and plain_text(request, "RequestedProcedureID") not in known:
            yield "answers a request that the images do not name"
        for keyword in ("AccessionNumber", "StudyInstanceUID"):
            if text(request, keyword) != text(dataset, keyword):
                yield f"{keyword} of the request that it answers differs from its own"


def predecessor_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    """The structured report replaces that of the revision before, and nothing else replaces anything."""
    previous = report.predecessor if report.kind_of(dataset) == "sr" else None
    expected = (
        []
        if previous is None
        else [
            (
                previous.study_instance_uid,
                previous.series_instance_uid,
                previous.sop_class_uid,
                previous.sop_instance_uid,
            )
        ]
    )
    named = [
        (
            text(study, "StudyInstanceUID"),
            text(series, "SeriesInstanceUID"),
            text(instance, "ReferencedSOPClassUID"),
            text(instance, "ReferencedSOPInstanceUID"),
        )
        for study in items(dataset, "PredecessorDocumentsSequence")
        for series in items(study, "ReferencedSeriesSequence")
        for instance in items(series, "ReferencedSOPSequence")
    ]
    if named != expected:
        yield "names another predecessor than the report of the revision before"
