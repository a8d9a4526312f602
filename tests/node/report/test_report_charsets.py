"""Names in every alphabet reach every report object as the patient writes them, in UTF-8 or in the source's own set."""

import warnings
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
import structlog
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from config.reporting import OBJECT_NAMES
from config.settings import ReportSettings
from node.report import ReportObject, build_report, kinds
from tests.node.report.character_sets import SCRIPTS, UTF_8, Script, headers_in
from tests.node.report.report_sources import Study, context_of, findings_of
from tests.validators import pixelmed

Reports = Callable[[str, str], list[ReportObject]]

# Source files that say nothing, or something wrong, about their characters are the point of these tests
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
# Without the pictures, which hold no text of the source but are slow to draw
OBJECTS = tuple(name for name in OBJECT_NAMES if name not in ("overlays", "summary"))
KINDS = {"sr", *(kind for kind, one in kinds.KINDS.items() if one.setting in OBJECTS)}


@pytest.fixture(scope="module", params=SCRIPTS)
def script(request: pytest.FixtureRequest) -> str:
    """Of the module: all tests of one script run together, and each of its reports is made once."""
    return str(request.param)


@pytest.fixture(scope="module")
def reports(studies: dict[str, Study]) -> Reports:
    """reports(script, character_set): a malignant report whose site note is in the script too."""

    @cache
    def build(script: str, character_set: str) -> list[ReportObject]:
        return report_in(SCRIPTS[script], studies["classic"], character_set=character_set)

    return build


def report_in(
    script: Script, study: Study, *, character_set: str = "source", note: str | None = None
) -> list[ReportObject]:
    settings = ReportSettings(
        objects=OBJECTS,
        character_set=character_set,  # type: ignore[arg-type]  # one of the two words
        institution_note=script.text if note is None else note,
    )
    images = headers_in(script, study.images)
    return build_report(findings_of(study, "malignant"), images, context_of(study, settings=settings))


def reread(dataset: Dataset) -> Dataset:
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def declared(dataset: Dataset) -> str | None:
    """Specific Character Set as in the file; None when it is not there."""
    value = dataset.get("SpecificCharacterSet")
    return value if value is None or isinstance(value, str) else "\\".join(value)


def said(item: Dataset) -> str:
    """All text items of a document, one after the other."""
    return item.get("TextValue", "") + "".join(said(child) for child in item.get("ContentSequence") or ())


@pytest.mark.parametrize("character_set", ["utf-8", "source"])
def test_no_letter_is_lost_on_the_way_into_any_object(reports: Reports, script: str, character_set: str) -> None:
    source = SCRIPTS[script]

    made = reports(script, character_set)

    objects = [reread(one.dataset) for one in made]
    assert {one.kind for one in made} == KINDS
    for read in objects:
        assert (str(read.PatientName), str(read.ReferringPhysicianName)) == (source.name, source.name)
        assert (read.StudyDescription, read.ProcedureCodeSequence[0].CodeMeaning) == (source.text, source.text)
    assert source.text in said(objects[0])


def test_objects_are_written_in_utf_8_unless_the_site_says_otherwise(reports: Reports, script: str) -> None:
    assert {declared(reread(made.dataset)) for made in reports(script, "utf-8")} == {UTF_8}


def test_objects_follow_the_character_set_of_the_source(reports: Reports, script: str) -> None:
    assert {declared(reread(made.dataset)) for made in reports(script, "source")} == {SCRIPTS[script].written}


@pytest.mark.skipif(not pixelmed.installed(), reason="PixelMed or a JDK is not installed (libpixelmed-java)")
def test_another_reader_reads_the_same_letters(reports: Reports, studies: dict[str, Study], tmp_path: Path) -> None:
    """PixelMed shares no code with what wrote the objects."""
    expected: dict[Path, list[str]] = {}
    for name, script in SCRIPTS.items():
        for made in reports(name, "source"):
            path = tmp_path / f"{name}-{made.kind}-{made.dataset.InstanceNumber}.dcm"
            made.dataset.save_as(path, enforce_file_format=True)
            expected[path] = [script.name, script.name, script.text, script.text]

    assert pixelmed.texts_of(list(expected)) == expected


@pytest.mark.parametrize(
    ("script", "note"),
    [
        ("ascii", "Café"),  # no set declared: only ASCII can be written
        ("japanese", "Café"),  # no accents
        ("japanese", "90°"),  # in JIS X 0208 and in Latin-1, which pydicom would write without saying so
        ("korean", "똠방"),  # a syllable that KS X 1001 has only in pieces
        ("latin_1", "Pracovní lístek č. 5"),
        ("hebrew", "Ärzte"),
    ],
)
def test_an_object_whose_text_does_not_fit_is_written_in_utf_8(
    studies: dict[str, Study], script: str, note: str
) -> None:
    with structlog.testing.capture_logs() as logs:
        objects = report_in(SCRIPTS[script], studies["classic"], note=note)

    for read in [reread(made.dataset) for made in objects]:
        assert declared(read) == (UTF_8 if note in said(read) else SCRIPTS[script].written)
        assert str(read.PatientName) == SCRIPTS[script].name
    assert note in said(objects[0].dataset)
    assert objects[0].dataset.SOPClassUID in [entry.get("sop_class_uid") for entry in logs]
    assert note not in str(logs)
    assert SCRIPTS[script].name not in str(logs)


@pytest.mark.parametrize("terms", ["ISO 2022 IR 87", r"ISO 2022 IR 87\ISO 2022 IR 87", r"\ISO 2022 IR 87\GB18030"])
def test_a_combination_that_the_standard_does_not_allow_is_not_repeated(studies: dict[str, Study], terms: str) -> None:
    japanese = SCRIPTS["japanese"]
    script = Script(terms, japanese.name, japanese.text, japanese.encode, written=UTF_8)

    for made in report_in(script, studies["classic"]):
        assert declared(reread(made.dataset)) == UTF_8
        assert str(reread(made.dataset).PatientName) == japanese.name


def test_a_report_without_images_is_written_in_utf_8_where_its_text_needs_it(studies: dict[str, Study]) -> None:
    """What was stored on receipt has no character set of its own."""
    identity = Dataset()
    identity.PatientID, identity.PatientName, identity.StudyInstanceUID = "P-1", "Müller^Jörg", "1.2.3"
    settings = ReportSettings(objects=(), character_set="source")
    context = context_of(studies["classic"], identity=identity, settings=settings)

    (only,) = build_report(findings_of(studies["classic"], "not_analysed"), {}, context)

    assert declared(reread(only.dataset)) == UTF_8
    assert str(reread(only.dataset).PatientName) == "Müller^Jörg"


def test_an_identifier_in_gb2312_is_that_of_the_images(studies: dict[str, Study]) -> None:
    """pydicom leaves the escape sequences in the text that it decodes."""
    images = headers_in(SCRIPTS["gb2312"], studies["classic"].images)
    for header in images.values():
        header.PatientID = header.IssuerOfPatientID = "\x1b$)A张-7"

    objects = build_report(findings_of(studies["classic"], "negative"), images, context_of(studies["classic"]))

    assert {reread(made.dataset).PatientID for made in objects} == {"张-7"}


def test_the_real_japanese_study_keeps_its_names(shared_data: Path) -> None:
    folder = shared_data / "spine-hitachi-airis-vento-lumbar" / "t1_sag"
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the file has over-long values
        images = {str(d.SOPInstanceUID): d for d in (dcmread(path, stop_before_pixels=True) for path in paths)}
        study = Study(images=images)
        settings = ReportSettings(character_set="source")

        objects = build_report(findings_of(study, "not_analysed"), images, context_of(study, settings=settings))

    for made in objects:
        assert str(reread(made.dataset).PatientName) == "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"
        assert declared(reread(made.dataset)) == declared(images[min(images)])


@pytest.mark.parametrize("character_set", ["utf-8", "source"])
def test_every_file_of_the_character_set_collection_gives_a_report(shared_data: Path, character_set: str) -> None:
    paths = sorted((shared_data / "charsets-pydicom").glob("*.dcm"))
    settings = ReportSettings(objects=(), character_set=character_set)  # type: ignore[arg-type]
    for path in paths:
        source = dcmread(path, stop_before_pixels=True, force=True)
        source.StudyInstanceUID = source.get("StudyInstanceUID", "1.2.3")
        study = Study(images={"1": source})
        name = str(source.get("PatientName", ""))

        objects = build_report(findings_of(study, "not_analysed"), study.images, context_of(study, settings=settings))

        assert str(reread(objects[0].dataset).PatientName) == name, path.name
    assert paths
