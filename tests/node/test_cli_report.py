"""`spinenode report show` as an operator types it."""

import re
import stat
from html.parser import HTMLParser
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from sqlalchemy import select, update

from config.reporting import OBJECT_NAMES, ObjectName, ReportSettings
from inference.findings import Verdict
from node.answer import Stopwatch, Work, make_report
from node.report.pictures import drawing
from storage import cases
from storage.schema import InstanceRow, ReportObjectRow
from tests.node.conftest import Clock
from tests.node.report.report_sources import Study, classic_study, enhanced_study, findings_of
from tests.node.typed_node import TypedNode

PATIENT = ("Doe", "Jane", "P-0001")


class Node(TypedNode):
    """It answers cases with reports."""

    def receive(self, study: Study) -> None:
        images = [dcmread(path) for path in study.files.values()]
        for image in images:
            image.FrameOfReferenceUID = "2.25.5000"
        self.take_in(*images)

    def answer(self, study: Study, verdict: str, objects: tuple[ObjectName, ...] = OBJECT_NAMES) -> None:
        """As the worker answers a case."""
        claim = self.claim()
        with self.database.reading() as session:
            instances = tuple(cases.instances_of(session, claim.case_id))
        work = Work(claim=claim, instances=instances, predecessor=None)
        made = make_report(findings_of(study, verdict), work, self.files, ReportSettings(objects=objects), Stopwatch())
        self.report(claim, {}, made)

    def report_rows(self) -> list[ReportObjectRow]:
        with self.database.reading() as session:
            return list(session.scalars(select(ReportObjectRow).order_by(ReportObjectRow.id)))

    def purge(self, *kinds: str) -> None:
        """As retention does."""
        for row in self.report_rows():
            if row.kind in kinds:
                self.files.path(row.file).unlink()
        with self.database.transaction() as session:
            of_kinds = update(ReportObjectRow).where(ReportObjectRow.kind.in_(kinds))
            session.execute(of_kinds.values(purged_at=self.clock()))

    def lose_images(self) -> None:
        with self.database.transaction() as session:
            for row in session.scalars(select(InstanceRow)):
                self.files.path(row.file).unlink()


def new_folder(inside: Path) -> Path:
    return Path(mkdtemp(dir=inside))


@pytest.fixture
def node(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    no_settings_in_environment: None,
    logging_as_before: None,
) -> Node:
    monkeypatch.chdir(tmp_path)
    return Node(tmp_path, capsys, clock)


@pytest.fixture
def answered(node: Node, tmp_path: Path) -> Node:
    """A case with lesions and every object."""
    study = classic_study(new_folder(tmp_path))
    node.receive(study)
    node.answer(study, "malignant")
    return node


class Links(HTMLParser):
    """What a page refers to, and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.targets += [value or "" for name, value in attrs if name in ("src", "href")]


def pixels_of(picture: Path) -> np.ndarray:
    with Image.open(picture) as image:
        return np.asarray(image)


def kinds_with(data: Any, ending: str) -> set[str]:
    return {one["kind"] for one in data["objects"] if any(name.endswith(ending) for name in one["files"])}


def test_every_object_of_a_case_is_written_in_a_form_that_needs_no_viewer(answered: Node, tmp_path: Path) -> None:
    data = answered.reads("report", "show", "1", "--out", tmp_path / "shown")

    assert (data["case"], data["revision"]) == (1, 1)
    assert {one["kind"] for one in data["objects"]} == {row.kind for row in answered.report_rows()}
    assert [one["problem"] for one in data["objects"] if one["problem"]] == []
    assert {"sr", "key_objects"} <= kinds_with(data, ".html")
    assert {"overlay", "summary", "overlay_frames", "presentation_state", "segmentation", "pdf"} <= kinds_with(
        data, ".png"
    )
    assert kinds_with(data, ".pdf") == {"pdf"}
    for one in data["objects"]:
        assert all((tmp_path / "shown" / name).stat().st_size > 0 for name in one["files"])


def test_the_index_shows_every_file_and_loads_nothing_from_elsewhere(answered: Node, tmp_path: Path) -> None:
    data = answered.reads("report", "show", "1", "--out", tmp_path / "shown")

    page = Path(data["index"]).read_text(encoding="utf-8")
    files = {name for one in data["objects"] for name in one["files"]}
    assert set(Links(page).targets) == files
    assert {path.name for path in (tmp_path / "shown").iterdir()} == {*files, "index.html", ".spinenode-report"}
    assert "script" not in Links(page).tags
    assert "Doe^Jane" in page
    assert "For research use only" in page


def test_no_file_name_holds_patient_data(answered: Node, tmp_path: Path) -> None:
    data = answered.reads("report", "show", "1", "--out", tmp_path / "shown")

    names = [name for one in data["objects"] for name in one["files"]]
    assert all(re.fullmatch(r"case-1-[a-z-]+-\d+(-\d+)?\.(html|png|pdf)", name) for name in names)


def test_only_our_own_user_can_read_what_is_written(answered: Node, tmp_path: Path) -> None:
    (tmp_path / "shown").mkdir(mode=0o755)

    answered.reads("report", "show", "1", "--out", tmp_path / "shown")

    assert stat.S_IMODE((tmp_path / "shown").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "shown").iterdir()} == {0o600}


def test_a_person_is_told_where_the_files_are_and_whose_they_are(answered: Node, tmp_path: Path) -> None:
    assert answered.types("report", "show", "1") == 0

    assert str(tmp_path / "report-case-1" / "index.html") in answered.out.replace("\n", "")
    assert "holds patient data" in answered.out
    assert not any(word in answered.out + answered.err for word in PATIENT)


def test_the_pictures_are_the_pixels_of_the_objects(answered: Node, tmp_path: Path) -> None:
    data = answered.reads("report", "show", "1", "--out", tmp_path / "shown")

    rows = {row.sop_instance_uid: row for row in answered.report_rows()}
    pictures = [one for one in data["objects"] if one["kind"] in ("overlay", "summary", "overlay_frames")]
    for one in pictures:
        pixels = dcmread(answered.files.path(rows[one["sop_instance_uid"]].file)).pixel_array
        frames = pixels if pixels.ndim == 4 else pixels[np.newaxis]
        shown = [pixels_of(tmp_path / "shown" / name) for name in one["files"]]
        assert [(frame == picture).all() for frame, picture in zip(frames, shown, strict=True)] == [True] * len(frames)


def test_the_pdf_is_the_document_without_padding(answered: Node, tmp_path: Path) -> None:
    data = answered.reads("report", "show", "1", "--out", tmp_path / "shown")

    pdf = next(one for one in data["objects"] if one["kind"] == "pdf")
    row = next(row for row in answered.report_rows() if row.kind == "pdf")
    dataset = dcmread(answered.files.path(row.file))
    written = (tmp_path / "shown" / pdf["files"][0]).read_bytes()
    assert written == dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength]
    assert pixels_of(tmp_path / "shown" / pdf["files"][1]).shape == (1684, 1191, 3)


@pytest.mark.parametrize("style", ["classic", "enhanced"])
def test_presentation_state_and_segmentation_are_drawn_from_the_objects_themselves(
    node: Node, tmp_path: Path, style: str
) -> None:
    study = (classic_study if style == "classic" else enhanced_study)(new_folder(tmp_path))
    node.receive(study)
    node.answer(study, "malignant")

    data = node.reads("report", "show", "1", "--out", tmp_path / "shown")

    for kind in ("presentation_state", "segmentation"):
        names = [name for one in data["objects"] if one["kind"] == kind for name in one["files"] if ".png" in name]
        assert len(names) == 3  # images with a finding
    states = [name for one in data["objects"] if one["kind"] == "presentation_state" for name in one["files"]]
    first = pixels_of(tmp_path / "shown" / states[0]).astype(int)
    red = np.array(drawing.verdict_colours("paper")[Verdict.MALIGNANT])
    rows, columns = np.nonzero((abs(first - red) < 12).all(axis=-1))
    below_the_label = rows > 12 * 8  # 12 picture pixels per stored pixel
    assert abs(columns[below_the_label].min() - 10 * 12) <= 2
    assert abs(columns[below_the_label].max() - 22.5 * 12) <= 2


@pytest.mark.parametrize("verdict", ["negative", "not_analysed"])
def test_answers_without_a_lesion_are_shown_too(node: Node, tmp_path: Path, verdict: str) -> None:
    study = classic_study(new_folder(tmp_path))
    node.receive(study)
    node.answer(study, verdict)

    data = node.reads("report", "show", "1", "--out", tmp_path / "shown")

    assert {one["kind"] for one in data["objects"]} == {"sr", "summary", "pdf"}
    sr = (tmp_path / "shown" / "case-1-sr-1.html").read_text(encoding="utf-8")
    assert ("NO LESION DETECTED" if verdict == "negative" else "NOT ANALYSED") in sr


def test_the_page_of_the_report_names_images_by_series_and_number(answered: Node, tmp_path: Path) -> None:
    answered.reads("report", "show", "1", "--out", tmp_path / "shown")

    sr = (tmp_path / "shown" / "case-1-sr-1.html").read_text(encoding="utf-8")
    assert "MR image 2 of series 1" in sr


def test_objects_that_lost_their_images_are_told_and_the_others_are_shown(answered: Node, tmp_path: Path) -> None:
    answered.lose_images()

    data = answered.reads("report", "show", "1", "--out", tmp_path / "shown")

    problems = {one["kind"]: one["problem"] for one in data["objects"] if one["problem"]}
    assert set(problems) == {"presentation_state"}
    assert "its images are gone" in problems["presentation_state"]
    assert kinds_with(data, ".png") >= {"overlay", "summary", "segmentation", "pdf"}


def test_objects_that_retention_removed_are_told(answered: Node, tmp_path: Path) -> None:
    answered.purge("overlay", "pdf")

    data = answered.reads("report", "show", "1", "--out", tmp_path / "shown")

    removed = {one["kind"]: one["problem"] for one in data["objects"] if one["problem"]}
    assert set(removed) == {"overlay", "pdf"}
    assert "removed by retention on 2026-11-02" in removed["pdf"]
    assert "removed by retention" in Path(data["index"]).read_text(encoding="utf-8")


def test_a_report_that_retention_removed_is_told_and_no_folder_is_made(answered: Node, tmp_path: Path) -> None:
    answered.purge(*{row.kind for row in answered.report_rows()})

    assert answered.types("report", "show", "1", "--out", tmp_path / "shown") == 1
    assert "was removed by retention on 2026-11-02" in answered.err
    assert not (tmp_path / "shown").exists()


def test_a_damaged_object_is_told_and_the_others_are_shown(answered: Node, tmp_path: Path) -> None:
    pdf = next(row for row in answered.report_rows() if row.kind == "pdf")
    answered.files.path(pdf.file).write_bytes(b"no DICOM file")

    data = answered.reads("report", "show", "1", "--out", tmp_path / "shown")

    told = next(one for one in data["objects"] if one["kind"] == "pdf")
    assert told["files"] == []
    assert "spinenode verify" in told["problem"]
    assert "sr" in kinds_with(data, ".html")


def test_the_newest_answered_revision_is_shown(answered: Node, tmp_path: Path) -> None:
    more = classic_study(new_folder(tmp_path), study="1.2.826.0.1.3680043.8.498.1")
    for path in list(more.files.values())[:2]:
        late = dcmread(path)
        late.SOPInstanceUID = late.file_meta.MediaStorageSOPInstanceUID = f"{late.SOPInstanceUID}.9"
        late.save_as(path)
    answered.receive(Study(files=dict(list(more.files.items())[:2])))

    data = answered.reads("report", "show", "1", "--out", tmp_path / "shown")

    assert (data["revision"], data["newest_revision"]) == (1, 2)


def test_a_case_without_a_report_says_so(node: Node, tmp_path: Path) -> None:
    node.receive(classic_study(new_folder(tmp_path)))

    assert node.types("report", "show", "1") == 1
    assert "case 1 has no report yet: it is collecting" in node.err


def test_an_unknown_case_is_told_as_case_show_tells_it(node: Node) -> None:
    assert node.types("case", "show", "7") == 1
    told = node.err

    assert node.types("report", "show", "7") == 1
    assert node.err == told
    assert "there is no case 7" in told


def test_an_earlier_output_is_replaced(answered: Node, tmp_path: Path) -> None:
    answered.reads("report", "show", "1", "--out", tmp_path / "shown")
    (tmp_path / "shown" / "case-1-overlay-99.png").write_bytes(b"of a report with more pictures")

    answered.reads("report", "show", "1", "--out", tmp_path / "shown")

    assert not (tmp_path / "shown" / "case-1-overlay-99.png").exists()
    assert (tmp_path / "shown" / "case-1-overlay-1.png").exists()


@pytest.mark.parametrize("stranger", ["notes.txt", "index.html", "case-1-sr-1.html"])
def test_a_folder_that_is_not_ours_is_left_alone(answered: Node, tmp_path: Path, stranger: str) -> None:
    (tmp_path / "shown").mkdir(mode=0o755)
    (tmp_path / "shown" / stranger).write_text("not ours")

    assert answered.types("report", "show", "1", "--out", tmp_path / "shown") == 1

    assert "--out" in answered.err
    assert [path.name for path in (tmp_path / "shown").iterdir()] == [stranger]
    assert (tmp_path / "shown" / stranger).read_text() == "not ours"
    assert stat.S_IMODE((tmp_path / "shown").stat().st_mode) == 0o755


def test_a_file_of_a_person_in_an_earlier_output_stops_the_next_one(answered: Node, tmp_path: Path) -> None:
    answered.reads("report", "show", "1", "--out", tmp_path / "shown")
    before = {path.name for path in (tmp_path / "shown").iterdir()}
    (tmp_path / "shown" / "notes.txt").write_text("mine")

    assert answered.types("report", "show", "1", "--out", tmp_path / "shown") == 1

    assert {path.name for path in (tmp_path / "shown").iterdir()} == before | {"notes.txt"}


def test_a_link_in_an_earlier_output_is_not_followed(answered: Node, tmp_path: Path) -> None:
    answered.reads("report", "show", "1", "--out", tmp_path / "shown")
    (tmp_path / "elsewhere.png").write_bytes(b"precious")
    (tmp_path / "shown" / "case-1-overlay-98.png").symlink_to(tmp_path / "elsewhere.png")

    assert answered.types("report", "show", "1", "--out", tmp_path / "shown") == 1
    assert (tmp_path / "elsewhere.png").read_bytes() == b"precious"
