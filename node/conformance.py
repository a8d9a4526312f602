"""The tables of the DICOM conformance statement, made from the code, so that the page cannot say anything else.

    python -m node.conformance docs/conformance.md     writes the page's tables anew

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`.
"""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from config import codes
from config.reporting import ReportSettings, RuleSettings
from inference.findings import Reason
from node.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.report.coding import REASON
from node.report.kinds import KINDS
from node.report.wording import REASON as REASON_IN_WORDS
from node.storage_contexts import COMPANION_CLASSES, IMAGE_CLASSES, TRANSFER_SYNTAXES

_TABLE: Final = re.compile(r"(<!-- table: ([a-z ]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """The page with each of its tables made anew. Raises KeyError for a table that nobody makes."""
    return _TABLE.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", page)


def main(argv: Sequence[str]) -> int:
    for name in argv:
        page = Path(name)
        page.write_text(with_tables(page.read_text()))
    return 0


def _implementation() -> str:
    rows = [("Implementation Class UID", IMPLEMENTATION_CLASS_UID)]
    rows.append(("Implementation Version Name", f"`{IMPLEMENTATION_VERSION_NAME}`"))
    return _table(("of every association and every file it writes", "value"), rows)


def _transfer_syntaxes() -> str:
    return _table(("transfer syntax", "UID"), ((one.name, str(one)) for one in TRANSFER_SYNTAXES))


def _storage() -> str:
    image = "kept, grouped; MR is analysed, other modalities are left out with a reason"
    rows = [(one.name, str(one), image) for one in IMAGE_CLASSES]
    rows += [(one.name, str(one), "kept, set aside") for one in COMPANION_CLASSES]
    return _table(("SOP class", "UID", "what becomes of it"), rows)


def _objects() -> str:
    defaults = ReportSettings().objects
    rows = []
    for kind in sorted(KINDS.values(), key=lambda one: one.series_offset):
        made = "always" if kind.setting is None else f"`{kind.setting}`"
        made += ", by default" if kind.setting in defaults else ""
        sop_class, number = kind.sop_class, f"+ {kind.series_offset}"
        rows.append((kind.says, made, sop_class.name, str(sop_class), kind.modality, number, f"`{kind.word}`"))
    return _table(("object", "made", "SOP class", "UID", "Modality", "SeriesNumber", "word in SeriesDescription"), rows)


def _verdicts() -> str:
    rules = RuleSettings()
    rows = []
    for name in RuleSettings.model_fields:
        attributes = ", ".join(f"{keyword} `{value}`" for keyword, value in getattr(rules, name).items())
        rows.append((f"`{name.replace('_', ' ')}`", attributes))
    return _table(("VERDICT", "attributes of every object, as shipped"), rows)


def _reasons() -> str:
    rows = [(f"`{one.value}`", REASON_IN_WORDS[one], *_as_cells(REASON[one])) for one in Reason]
    return _table(("reason", "in words", "code", "scheme", "meaning"), rows)


def _private_codes() -> str:
    private = [
        one for one in vars(codes).values() if isinstance(one, codes.Code) and one.scheme == codes.PRIVATE_SCHEME
    ]
    return _table(("code", "meaning"), ((one.value, one.meaning) for one in sorted(private, key=lambda one: one.value)))


def _as_cells(code: codes.Code) -> tuple[str, str, str]:
    return code.value, code.scheme, code.meaning


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "implementation": _implementation,
    "transfer syntaxes": _transfer_syntaxes,
    "storage": _storage,
    "report objects": _objects,
    "verdicts": _verdicts,
    "reasons": _reasons,
    "private codes": _private_codes,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
