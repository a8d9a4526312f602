"""Faults of a labelled folder, as a table for people and as data for programs."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from inference.labels.check import CheckedFolder
from inference.labels.faults import RULES, Fault, FaultCode, PatientKey, Place, Severity
from node.commands.output import show_table, show_text

_ALIKE_SHOWN: Final = 5  # of faults with one code and one patient; a drawing program makes the same error on each slice


def as_data(checked: CheckedFolder) -> dict[str, Any]:
    return {
        "folder": str(checked.folder),
        "patients": len(checked.patients),
        "patients_with_errors": sum(patient.key in checked.faulty for patient in checked.patients),
        "counts": {severity.value: count for severity, count in checked.counts.items()},
        "faults": [_fault_data(fault) for fault in checked.faults],
    }


def _fault_data(fault: Fault) -> dict[str, Any]:
    place = fault.place
    return {
        "severity": fault.severity.value,
        "code": fault.code.value,
        "patients": [{"patient_id": one.patient_id, "issuer": one.issuer} for one in fault.patients],
        "file": place.file or None,
        "line": place.line,
        "series_number": place.series_number,
        "series_instance_uid": place.series_instance_uid or None,
        "sop_instance_uid": place.sop_instance_uid or None,
        "frame": place.frame,
        "slice": place.slice,
        "what": fault.what,
        "what_to_do": fault.remedy,
    }


def show_faults(checked: CheckedFolder, *, with_info: bool) -> None:
    shown = [fault for fault in checked.faults if with_info or fault.severity is not Severity.INFO]
    if shown:
        rows = [row for alike in _alike(shown) for row in _rows(alike)]
        show_table("Faults", ("severity", "code", "patient", "where", "what"), rows)
        codes = dict.fromkeys(fault.code for fault in shown)
        show_table("What to do", ("code", "do"), ((code.value, RULES[code].remedy) for code in codes))
    counts = checked.counts
    faulty = sum(patient.key in checked.faulty for patient in checked.patients)
    errors, infos = counted(counts[Severity.ERROR], "error"), counted(counts[Severity.INFO], "info")
    show_text(
        f"{counted(len(checked.patients), 'patient')}, {faulty} with errors: {errors}, "
        f"{counted(counts[Severity.WARNING], 'warning')}, {infos}"
        + (" (--info lists them)" if counts[Severity.INFO] and not with_info else "")
    )


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _alike(faults: Iterable[Fault]) -> Iterable[Sequence[Fault]]:
    groups: dict[tuple[FaultCode, tuple[PatientKey, ...]], list[Fault]] = defaultdict(list)
    for fault in faults:
        groups[fault.code, fault.patients].append(fault)
    return groups.values()


def _rows(alike: Sequence[Fault]) -> Iterable[tuple[str, ...]]:
    for fault in alike[:_ALIKE_SHOWN]:
        who = "\n".join(map(str, fault.patients))
        yield fault.severity.value, fault.code.value, who, _where(fault.place), fault.what
    more = len(alike) - _ALIKE_SHOWN
    if more > 0:
        yield "", "", "", "", f"... and {more} more like it (--json lists all)"


def _where(place: Place) -> str:
    parts = [place.file] if place.file else []
    for word, number in (
        ("line", place.line),
        ("series", place.series_number),
        ("slice", place.slice),
        ("frame", place.frame),
    ):
        if number is not None:
            parts.append(f"{word} {number}")
    return ", ".join(parts) or place.sop_instance_uid or place.series_instance_uid
