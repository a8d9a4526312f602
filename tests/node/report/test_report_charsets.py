"""Names in every alphabet reach the report as the patient writes them. Output is UTF-8."""

import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset

from inference.findings import SequenceKind
from node.report import ReportObject, build_report
from tests.node.report.report_sources import Study, classic_study, context_of, findings_of

BuiltReport = Callable[[str, str], list[ReportObject]]

# Name, character set of the source. PS3.5 Annexes H to K and J have these names as examples.
NAMES = [
    ("Buc^Jérôme", "ISO_IR 100"),
    ("Иванов^Иван", "ISO_IR 144"),
    ("Διονυσιος", "ISO_IR 126"),
    ("قباني^لنزار", "ISO_IR 127"),
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", ["", "ISO 2022 IR 87"]),
    ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", ["ISO 2022 IR 13", "ISO 2022 IR 87"]),
    ("Hong^Gildong=洪^吉洞=홍^길동", ["", "ISO 2022 IR 149"]),
    ("Zhang^XiaoDong=张^小东", "GB18030"),
    ("Wang^XiaoDong=王^小东", "GBK"),
    ("Wang^XiaoDong=王^小東", "ISO_IR 192"),
]


def written(dataset: Dataset) -> Dataset:
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def from_disk(study: Study) -> dict[str, Dataset]:
    """Headers as the node has them: read from files, nothing decoded yet."""
    return {uid: dcmread(path, stop_before_pixels=True) for uid, path in study.files.items()}


@pytest.mark.parametrize(("name", "character_set"), NAMES)
def test_a_name_keeps_its_letters(tmp_path: Path, name: str, character_set: object) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "1", "99X"
    code.CodeMeaning = name.split("=")[-1].replace("^", " ")
    study = classic_study(
        tmp_path,
        kinds=[SequenceKind.T2],
        SpecificCharacterSet=character_set,
        PatientName=name,
        StudyDescription=name.split("=")[-1].replace("^", " "),
        ProcedureCodeSequence=[code],
    )

    objects = build_report(findings_of(study, "negative"), from_disk(study), context_of(study))

    for made in objects:
        read = written(made.dataset)
        assert read.SpecificCharacterSet == "ISO_IR 192"
        assert str(read.PatientName) == name
        assert read.StudyDescription == code.CodeMeaning
        assert read.ProcedureCodeSequence[0].CodeMeaning == code.CodeMeaning


def test_escape_sequences_of_gb2312_do_not_stay_in_the_name(tmp_path: Path) -> None:
    study = classic_study(tmp_path, kinds=[SequenceKind.T2], PatientName="Placeholder")
    encoded = b"Zhang^XiaoDong=" + b"\x1b$)A" + "张".encode("gb2312") + b"^" + b"\x1b$)A" + "小东".encode("gb2312")
    for uid, dataset in from_disk(study).items():
        raw = dcmread(study.files[uid])
        raw.SpecificCharacterSet = ["", "ISO 2022 IR 58"]
        raw[0x00100010]._value = _RawName(encoded)
        study.images[uid] = dataset
        raw.save_as(study.files[uid])

    objects = build_report(findings_of(study, "negative"), from_disk(study), context_of(study))

    assert str(written(objects[0].dataset).PatientName) == "Zhang^XiaoDong=张^小东"


def test_the_real_japanese_study_keeps_its_names(shared_data: Path) -> None:
    folder = shared_data / "spine-hitachi-airis-vento-lumbar" / "t1_sag"
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the file has over-long values
        images = {str(d.SOPInstanceUID): d for d in (dcmread(path, stop_before_pixels=True) for path in paths)}
        study = Study(images=images)

        objects = build_report(findings_of(study, "not_analysed"), images, context_of(study))

    for made in objects:
        assert str(written(made.dataset).PatientName) == "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎"


def test_every_file_of_the_character_set_collection_gives_a_report(shared_data: Path) -> None:
    paths = sorted((shared_data / "charsets-pydicom").glob("*.dcm"))
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # odd character sets are the point of this collection
            source = dcmread(path, stop_before_pixels=True, force=True)
            source.StudyInstanceUID = source.get("StudyInstanceUID", "1.2.3")
            study = Study(images={"1": source})
            name = str(source.get("PatientName", ""))

            objects = build_report(findings_of(study, "not_analysed"), study.images, context_of(study))

        assert str(written(objects[0].dataset).PatientName) == name, path.name
    assert paths


class _RawName(bytes):
    """A person name whose bytes are written as they are."""

    components = ()

    def encode(self, encodings: object) -> bytes:
        return bytes(self)
