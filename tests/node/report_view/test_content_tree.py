"""A content tree as HTML: every value type, nesting, and nothing of an object that a browser could act on."""

import re
from html import unescape
from html.parser import HTMLParser

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from node.report_view.content_tree import content_tree
from node.report_view.html_page import page, table
from node.report_view.source_files import SourceFiles
from node.report_view.structured_report import render_document

HOSTILE = '<script>alert(1)</script>" onmouseover="alert(2)'


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def item(value_type: str, name: str = "Name", relationship: str = "CONTAINS", **attributes: object) -> Dataset:
    made = Dataset()
    made.ValueType, made.RelationshipType = value_type, relationship
    made.ConceptNameCodeSequence = [code("121071", "DCM", name)]
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def container(*children: Dataset, name: str = "Title") -> Dataset:
    return item("CONTAINER", name, ContentSequence=list(children))


def measured(value: str, unit: tuple[str, str, str]) -> Dataset:
    made = Dataset()
    made.NumericValue = value
    made.MeasurementUnitsCodeSequence = [code(*unit)]
    return made


def reference(uid: str = "1.2.3", frames: list[int] | None = None) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = MRImageStorage, uid
    if frames:
        made.ReferencedFrameNumber = frames
    return made


def words_of(html: str) -> str:
    """What a reader sees, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", "", html)).split())


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.depth = self.deepest = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "div":
            self.depth += 1
            self.deepest = max(self.deepest, self.depth)

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "div"


VALUES = {
    "TEXT": ({"TextValue": "A sentence."}, "A sentence."),
    "CODE": ({"ConceptCodeSequence": [code("30807003", "SCT", "Benign")]}, "Benign"),
    "NUM": ({"MeasuredValueSequence": [measured("78.4", ("%", "UCUM", "Percent"))]}, "78.4 %"),
    "DATETIME": ({"DateTime": "20260304101112.5+0100"}, "2026-03-04 10:11:12 +0100"),
    "DATE": ({"Date": "20260304"}, "2026-03-04"),
    "TIME": ({"Time": "101112.123"}, "10:11:12"),
    "UIDREF": ({"UID": "1.2.840.1"}, "1.2.840.1"),
    "PNAME": ({"PersonName": "Doe^Jane"}, "Doe^Jane"),
    "SCOORD": ({"GraphicType": "POLYLINE", "GraphicData": [1, 2, 3.5, 4]}, "POLYLINE (1; 2), (3.5; 4)"),
    "SCOORD3D": (
        {"GraphicType": "POINT", "GraphicData": [1, 2, 3], "ReferencedFrameOfReferenceUID": "1.9"},
        "POINT (1; 2; 3) 1.9",
    ),
    "TCOORD": ({"TemporalRangeType": "SEGMENT", "ReferencedTimeOffsets": ["1.5", "2"]}, "SEGMENT 1.5, 2"),
    "COMPOSITE": ({"ReferencedSOPSequence": [reference()]}, "MR Image Storage 1.2.3"),
    "IMAGE": ({"ReferencedSOPSequence": [reference(frames=[2, 3])]}, "MR Image Storage, frame 2, 3 1.2.3"),
    "WAVEFORM": ({"ReferencedSOPSequence": [reference("1.2.4")]}, "MR Image Storage 1.2.4"),
}


@pytest.mark.parametrize("value_type", VALUES)
def test_every_value_type_is_shown_with_its_name_and_value(value_type: str) -> None:
    attributes, shown = VALUES[value_type]

    html = content_tree(container(item(value_type, **attributes)))

    assert words_of(html).endswith(f"Name{shown}")


def test_an_unknown_value_type_is_told_and_its_children_are_shown() -> None:
    inner = item("TEXT", "Inner", TextValue="still here")

    html = content_tree(container(item("TABLE", ContentSequence=[inner])))

    assert "value type TABLE, not shown" in words_of(html)
    assert "still here" in html


def test_containers_are_nested_as_in_the_document() -> None:
    tree = container(container(container(item("TEXT", TextValue="deep")), item("TEXT", TextValue="shallow")))

    tags = Tags(content_tree(tree))

    assert tags.deepest == 4
    assert tags.depth == 0  # every element is closed
    assert [attributes["class"] for tag, attributes in tags.found if tag == "div"] == [
        *["container"] * 3,
        *["item"] * 2,
    ]


def test_a_code_is_told_by_its_meaning_with_the_code_on_hover() -> None:
    html = content_tree(container(item("CODE", "Finding", ConceptCodeSequence=[code("30807003", "SCT", "Benign")])))

    titles = {attributes["title"] for _, attributes in Tags(html).found if "title" in attributes}
    assert {"(121071, DCM, Finding)", "(30807003, SCT, Benign)"} <= titles


def test_a_long_code_value_is_read_where_it_stands() -> None:
    long = Dataset()
    long.LongCodeValue, long.CodingSchemeDesignator, long.CodeMeaning = "x" * 20, "99X", "Long"

    assert f"({'x' * 20}, 99X, Long)" in content_tree(container(item("CODE", ConceptCodeSequence=[long])))


@pytest.mark.parametrize(
    ("unit", "shown"),
    [
        (("mm", "UCUM", "millimeter"), "5 mm"),
        (("1", "UCUM", "no units"), "5"),
        (("{0:1}", "UCUM", "range: 0:1"), "5 range: 0:1"),
        (("slice", "99X", "Slices"), "5 Slices"),
    ],
)
def test_a_number_has_its_unit(unit: tuple[str, str, str], shown: str) -> None:
    html = content_tree(container(item("NUM", MeasuredValueSequence=[measured("5", unit)])))

    assert words_of(html).endswith(f"Name{shown}")


def test_a_number_without_a_value_says_why() -> None:
    qualifier = [code("114006", "DCM", "Measurement failure")]

    with_reason = item("NUM", MeasuredValueSequence=[], NumericValueQualifierCodeSequence=qualifier)

    assert "Measurement failure" in content_tree(container(with_reason))
    assert "no value" in content_tree(container(item("NUM", MeasuredValueSequence=[])))


def test_a_relationship_is_named_unless_it_is_the_usual_one() -> None:
    html = content_tree(container(item("TEXT", relationship="HAS CONCEPT MOD", TextValue="x"), item("TEXT")))

    assert html.count("has concept mod") == 1
    assert "contains" not in html


def test_a_reference_by_number_names_the_item() -> None:
    by_reference = Dataset()
    by_reference.RelationshipType = "INFERRED FROM"
    by_reference.ReferencedContentItemIdentifier = [1, 3, 2]

    assert "inferred from" in (html := content_tree(container(by_reference)))
    assert "see item 1.3.2 of the tree" in html


def test_an_image_is_named_as_a_person_knows_it() -> None:
    class Names:
        def name(self, sop_instance_uid: str) -> str:
            return f"image of {sop_instance_uid}"

    html = content_tree(container(item("IMAGE", ReferencedSOPSequence=[reference(frames=[4])])), Names())

    assert "image of 1.2.3, frame 4" in words_of(html)


HOSTILE_ITEMS = [
    item("TEXT", HOSTILE, TextValue=HOSTILE),
    item("PNAME", PersonName=HOSTILE),
    item("CODE", ConceptCodeSequence=[code("1", HOSTILE, HOSTILE)]),
    item("NUM", MeasuredValueSequence=[measured("1", (HOSTILE, "UCUM", HOSTILE))]),
    item("UIDREF", UID=HOSTILE),
    item("DATE", Date=HOSTILE),
    item("TIME", Time=HOSTILE),
    item("DATETIME", DateTime=HOSTILE),
    item("SCOORD", GraphicType=HOSTILE, GraphicData=[1, 2]),
    item("TCOORD", TemporalRangeType=HOSTILE, ReferencedDateTime=[HOSTILE]),
    item("IMAGE", ReferencedSOPSequence=[reference(HOSTILE)]),
    item(HOSTILE),
    item("TEXT", relationship=HOSTILE, TextValue="x"),
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom warns of such values
@pytest.mark.parametrize("hostile", HOSTILE_ITEMS, ids=lambda one: str(one.ValueType)[:10])
def test_markup_in_an_object_is_text_on_the_page(hostile: Dataset) -> None:
    tags = Tags(content_tree(container(hostile))).found

    assert {tag for tag, _ in tags} <= {"div", "span"}
    assert {name for _, attributes in tags for name in attributes} <= {"class", "title"}


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_markup_in_the_header_of_a_document_is_text_on_the_page() -> None:
    document = container(name=HOSTILE)
    document.PatientName = document.PatientID = document.SeriesDescription = document.StudyDate = HOSTILE

    content = render_document(document, SourceFiles({}))[0].content.decode()

    assert "script" not in {tag for tag, _ in Tags(content).found}
    assert "<script" not in content
    assert "onmouseover" not in {name for _, attributes in Tags(content).found for name in attributes}


def test_a_page_runs_no_script_and_loads_nothing() -> None:
    content = page("Title", table([("Name", "Value"), ("Empty", "")])).decode()

    assert "default-src 'none'" in content
    assert "Empty" not in content
    assert "http" not in content.replace("http-equiv", "")


def test_what_no_page_may_hold_is_replaced() -> None:
    content = page("a\x00b\u202e\u3000c").decode()

    assert "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}\N{IDEOGRAPHIC SPACE}c" in content
