"""From findings to the DICOM objects that leave the node. Pure: no network, no database, no clock."""

from node.report.build import build_report
from node.report.context import CheckedObject, PreviousReport, ReportContext, ReportKind, ReportObject
from node.report.errors import ReportCheckError, ReportError
from node.report.identifiers import MANUFACTURER, is_own_object, report_uid
from node.report.tracking import with_tracking

__all__ = [
    "MANUFACTURER",
    "CheckedObject",
    "PreviousReport",
    "ReportCheckError",
    "ReportContext",
    "ReportError",
    "ReportKind",
    "ReportObject",
    "build_report",
    "is_own_object",
    "report_uid",
    "with_tracking",
]
