import re
import sys
from html.parser import HTMLParser

import pytest

from inference.errors import EvaluationError
from inference.evaluation.page import evaluation_page
from inference.evaluation.subject import PHANTOM_HEADING
from tests.inference.evaluation.evaluations import OWN, example_evaluation, example_subject

VOID = {"meta", "br", "path", "use", "rect", "circle", "line", "image"}


class Page(HTMLParser):
    """Elements and text of a page; fails on a tag that is closed in the wrong place."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.text_of: dict[str, list[str]] = {}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.text_of.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)
        for tag in set(self.open):
            self.text_of[tag][-1] += data

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return evaluation_page(example_evaluation(), example_subject())


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(html: str, page: Page) -> None:
    assert page.open == []
    assert not [tag for tag, _ in page.elements if tag in ("script", "link", "img", "iframe", "object", "image")]
    references = re.findall(r'(?:href|src)\s*=\s*"([^"]*)"|url\(([^)]*)\)', html)
    assert references
    assert all(target.startswith("#") for pair in references for target in pair if target)
    assert "default-src 'none'" in html


def test_names_from_outside_are_text_not_markup(html: str, page: Page) -> None:
    assert "south & <b>east</b>" in page.text
    assert "model <x>" in page.text
    assert not page.attributes("i")
    assert "<b>east" not in html


def test_what_was_evaluated_stands_before_the_first_table(html: str) -> None:
    first = Page(html[: html.index("<table")] + "</div></main></body></html>").text

    for fact in ("model <x> 1.2.0", "a1a1a1a1", "north, held_out", "24: 8 malignant, 16 benign", "33.3 %", "1/4"):
        assert fact in first


def test_the_first_table_has_every_strategy_and_marks_the_one_of_the_bundle(html: str) -> None:
    table = html[html.index("<table") : html.index("</table>")]

    rows = re.findall(r'<tr( class="main")?><th scope="row">([^<]*)</th>', table)
    assert [name for _, name in rows] == ["Det", "Seq", "Det-Seq-Age", OWN]
    assert [name for marked, name in rows if marked] == [OWN]


def test_every_plot_has_a_text_alternative_and_one_sentence_how_to_read_it(page: Page) -> None:
    plots = page.attributes("svg")

    assert len(plots) == 7
    assert all(plot["role"] == "img" and len(plot["aria-label"] or "") > 30 for plot in plots)
    assert len(page.text_of["figcaption"]) == 7
    assert all(caption.rstrip().endswith(".") for caption in page.text_of["figcaption"])


def test_every_table_has_a_caption_and_headers_of_columns_and_rows(html: str) -> None:
    tables = re.findall(r"<table>.*?</table>", html)

    assert len(tables) == 7
    for table in tables:
        assert "<caption>" in table
        assert '<th scope="col">' in table
        assert '<th scope="row">' in table


def column(table: str, name: str) -> list[str]:
    place = re.findall(r'<th scope="col">(.*?)</th>', table).index(name)
    return [re.findall(r"<td>(.*?)</td>", row)[place - 1] for row in re.findall(r"<tr><th.*?</tr>", table)[1:]]


def test_every_table_says_how_many_patients_had_no_detection() -> None:
    """Three of 24: all lumbar, two of the north, and the reader has read them all."""
    html = evaluation_page(example_evaluation(undetected=("P001", "P004", "P010")), example_subject())

    decisions, readers, regions, site, sequences, froc, precision = re.findall(r"<table>.*?</table>", html)
    for table in (decisions, froc, precision):
        assert "3 of the 24 patients are without detection" in table
    assert sequences.count("(3 without detection)") == 3
    assert column(readers, "Without detection") == ["3"]
    assert column(regions, "Without detection") == ["3"]
    assert column(site, "Without detection") == ["2", "1"]


def test_no_two_elements_share_an_identifier(page: Page) -> None:
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]

    assert identifiers
    assert len(identifiers) == len(set(identifiers))


def test_on_the_phantom_every_table_and_plot_says_so() -> None:
    phantom = evaluation_page(example_evaluation(), example_subject(is_phantom=True))
    patients = evaluation_page(example_evaluation(), example_subject())

    captions = re.findall(r"<(?:caption|figcaption)>.*?</(?:caption|figcaption)>", phantom)
    assert len(captions) == 14
    assert all(PHANTOM_HEADING in caption for caption in captions)
    assert "phantom" not in patients


def test_what_the_bundle_has_seen_is_told() -> None:
    told = evaluation_page(example_evaluation(), example_subject(seen_before="The bundle was trained on them."))

    assert "The bundle was trained on them." in Page(told).text
    assert "Unknown: the record of the bundle" in Page(evaluation_page(example_evaluation(), example_subject())).text


def test_readers_stand_beside_the_model_with_the_test_that_was_used() -> None:
    html = evaluation_page(example_evaluation(), example_subject())

    readers = re.findall(r"<table>.*?</table>", html)[1]
    assert "D1 &lt;i&gt;, with age" in readers
    assert column(readers, "Patients") == ["24"]
    assert column(readers, "Model, reader alone right") == ["7, 3"]
    assert column(readers, "p") == [".344<small>exact</small>"]


def test_what_was_not_measured_has_no_section() -> None:
    bare = example_evaluation(calibration=None, readers=(), regions=(), subgroups=(), sequences=(), fusion_gain=None)

    text = Page(evaluation_page(bare, example_subject())).text

    for section in ("Is the probability", "Readers beside", "Where it errs", "T1, T2 or both"):
        assert section not in text
    assert "areas cannot be compared" in text


def test_the_same_evaluation_gives_the_same_page(html: str) -> None:
    assert evaluation_page(example_evaluation(), example_subject()) == html


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(EvaluationError, match=r'pip install "spinenode\[science\]"'):
        evaluation_page(example_evaluation(), example_subject())


def test_the_end_of_the_page_says_on_what_it_was_measured(page: Page) -> None:
    assert "Device Some GPU" in page.text
    assert "Number format of the detector bfloat16" in page.text
    assert "Versions torch 2.9.0, spinenode 0.1.0" in page.text
    assert "sha256 of the readers' file" not in page.text
    assert "sha256 of the split" not in page.text


def test_the_end_of_the_page_names_the_readers_and_the_split_that_were_given() -> None:
    subject = example_subject(readers_sha256="d4" * 32, split_sha256="e5" * 32)

    page = Page(evaluation_page(example_evaluation(), subject))

    assert f"sha256 of the readers' file {'d4' * 32}" in page.text
    assert f"sha256 of the split {'e5' * 32}" in page.text
