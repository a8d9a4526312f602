"""Whatever is broken in an object, the self-check answers with a fault or with nothing, and never with a crash."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

from tests.node.report.conftest import STYLES
from tests.node.report.whole_reports import WholeReport, faults, whole_reports

NONSENSE = ("", " ", "\0", "nan", "-1", "1e400", "0", "\\", "2.25.0", "\x1b$B", b"", b"\xff", -1, 2**33, 0.5, None)
ITEM = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"  # of undefined length
UNREADABLE = {
    "cut in the length of a value": ITEM + b"\x08\x00\x60\x00OB\0\0\1",
    "nested too deep": 2000 * (ITEM + b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff"),
}


@pytest.fixture(scope="module")
def whole_report(tmp_path_factory: pytest.TempPathFactory) -> WholeReport:
    return whole_reports(tmp_path_factory.mktemp("reports"))


def elements(dataset: Dataset) -> Iterator[tuple[Dataset, BaseTag]]:
    for element in dataset:
        yield dataset, element.tag
        if element.VR == "SQ":
            for item in element.value:
                yield from elements(item)


def damage(dataset: Dataset, where: int, how: str, nonsense: object) -> None:
    """Delete, empty or falsify one element, at any depth."""
    everywhere = list(elements(dataset))
    parent, tag = everywhere[where % len(everywhere)]
    is_sequence = parent[tag].VR == "SQ"
    match how:
        case "delete":
            del parent[tag]
        case "empty":
            parent[tag]._value = Sequence() if is_sequence else None
        case "falsify":
            parent[tag]._value = Sequence([Dataset()]) if is_sequence else nonsense


DAMAGES = st.tuples(st.integers(0, 9999), st.sampled_from(["delete", "empty", "falsify"]), st.sampled_from(NONSENSE))


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom tells of each value that it does not like
@settings(max_examples=60, deadline=None)
@given(
    style=st.sampled_from(STYLES),
    verdict=st.sampled_from(["malignant", "not_analysed"]),
    number=st.integers(0, 11),
    damages=st.lists(DAMAGES, min_size=1, max_size=4),
)
def test_a_damaged_object_never_breaks_the_check(
    whole_report: WholeReport, style: str, verdict: str, number: int, damages: list[tuple[int, str, object]]
) -> None:
    study, findings, good = whole_report(style, verdict)
    made = good[number % len(good)]
    broken = replace(made, dataset=deepcopy(made.dataset))
    for one in damages:
        damage(broken.dataset, *one)

    said = faults(study, findings, [broken] if made.kind == "sr" else [good[0], broken])

    assert "Doe" not in said
    assert "P-0001" not in said


def with_sequence(dataset: Dataset, value: bytes) -> Dataset:
    """A copy whose Request Attributes Sequence has these bytes, as it was read from a file."""
    copy, tag = deepcopy(dataset), Tag(tag_for_keyword("RequestAttributesSequence") or 0)
    copy._dict[tag] = RawDataElement(tag, "SQ", len(value), value, 0, False, True)
    return copy


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
def test_a_sequence_of_a_source_that_cannot_be_read_says_nothing(whole_report: WholeReport, value: bytes) -> None:
    study, findings, good = whole_report("classic", "malignant")
    damaged = replace(study, images={uid: with_sequence(image, value) for uid, image in study.images.items()})

    assert faults(damaged, findings, good) == ""


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
def test_a_sequence_of_an_object_that_cannot_be_read_never_breaks_the_check(
    whole_report: WholeReport, value: bytes
) -> None:
    study, findings, good = whole_report("classic", "malignant")
    broken = replace(good[0], dataset=with_sequence(good[0].dataset, value))

    said = faults(study, findings, [broken])

    assert "Doe" not in said
