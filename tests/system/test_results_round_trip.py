"""Every object of a report goes to real archives and comes back as it was sent, in the patient's one study."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from node.report import ReportObject, build_report
from node.report.kinds import KINDS
from node.store_scu import StoreOutcome, store
from tests.node.report.report_sources import Study, classic_study, context_of, findings_of
from tests.system.dcmqrscp import DCMQRSCP, Dcmqrscp
from tests.system.orthanc import DICOM_WEB, ORTHANC, Orthanc
from tests.system.phantom_reports import ALL_OBJECTS, FRAME_OF_REFERENCE, enhanced_study_in_space, save

pytestmark = [pytest.mark.system, pytest.mark.slow]

PN_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")  # PS3.18 F.2.2


@dataclass(frozen=True, kw_only=True)
class Patient:
    """Whose images they are, what was found, and the character sets of the images and of the objects of the report."""

    verdict: str = "malignant"
    name: str = "Doe^Jane"
    images_in: str | list[str] = "ISO_IR 100"
    objects_in: str | list[str] = "ISO_IR 192"


# The names are examples of PS3.5, Annexes H and J
JAPANESE = Patient(name="Yamada^Tarou=山田^太郎=やまだ^たろう", images_in=["", "ISO 2022 IR 87"])
PATIENTS = {
    "classic": Patient(),
    "enhanced": Patient(),
    "japanese": JAPANESE,
    "japanese_as_the_images": replace(JAPANESE, objects_in=["", "ISO 2022 IR 87"]),
    "gb18030": Patient(name="Wang^XiaoDong=王^小东", images_in="GB18030"),
    "negative": Patient(verdict="negative"),
    "not_analysed": Patient(verdict="not_analysed"),
}
WITHOUT_BOXES = {"sr", "summary", "pdf"}


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The images of one patient and the whole report about them, as files and as what is in them."""

    patient: Patient
    study_instance_uid: str
    objects: list[ReportObject]
    files: list[Path]
    image_files: list[Path]

    @property
    def datasets(self) -> dict[str, Dataset]:
        return {uid_of(dataset): dataset for dataset in map(dcmread, [*self.image_files, *self.files])}


@pytest.fixture(scope="module", params=PATIENTS)
def sent(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    folder = tmp_path_factory.mktemp(request.param)
    patient = PATIENTS[request.param]
    study = enhanced_study_in_space(folder) if request.param == "enhanced" else classic_images(folder, patient)
    objects = whole_report(study, patient.verdict, "utf-8" if patient.objects_in == "ISO_IR 192" else "source")
    return Sent(
        patient=patient,
        study_instance_uid=study.series[0].study_instance_uid,
        objects=objects,
        files=save(objects, folder / "results"),
        image_files=list(study.files.values()),
    )


def classic_images(folder: Path, patient: Patient) -> Study:
    return classic_study(
        folder,
        PatientName=patient.name,
        SpecificCharacterSet=patient.images_in,
        FrameOfReferenceUID=FRAME_OF_REFERENCE,
    )


def whole_report(study: Study, verdict: str, character_set: str) -> list[ReportObject]:
    headers = {uid: dcmread(path, stop_before_pixels=True) for uid, path in study.files.items()}
    settings = ALL_OBJECTS.model_copy(update={"character_set": character_set})
    return build_report(findings_of(study, verdict), headers, context_of(study, settings=settings))


@pytest.fixture(scope="module")
def orthanc_with_study(sent: Sent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    if ORTHANC is None or not Path(DICOM_WEB).exists():
        pytest.skip("Orthanc with its DICOMweb plugin is not installed (apt-get install orthanc orthanc-dicomweb)")
    archive = Orthanc(tmp_path_factory.mktemp("orthanc"), plugins=(DICOM_WEB,))
    archive.start({})
    try:
        send(sent, port=archive.dicom_port, ae_title=archive.ae_title)
        yield archive
    finally:
        archive.stop()


@pytest.fixture(scope="module")
def dcmqrscp_with_study(sent: Sent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dcmqrscp]:
    if DCMQRSCP is None:
        pytest.skip("DCMTK is not installed (apt-get install dcmtk)")
    archive = Dcmqrscp(tmp_path_factory.mktemp("dcmqrscp"))
    archive.start()
    try:
        send(sent, port=archive.port, ae_title=archive.ae_title)
        yield archive
    finally:
        archive.stop()


def send(sent: Sent, *, port: int, ae_title: str) -> None:
    """By the node's own sender: every object has to be taken without a warning."""
    results = store(
        [*sent.image_files, *sent.files],
        host="127.0.0.1",
        port=port,
        called_ae_title=ae_title,
        calling_ae_title="SPINENODE",
        timeout_s=60.0,
    )
    assert [one for one in results if one.outcome is not StoreOutcome.SENT] == []


def test_the_report_has_every_kind_of_object_that_its_verdict_asks_for(sent: Sent) -> None:
    wanted = set(KINDS) if sent.patient.verdict == "malignant" else WITHOUT_BOXES

    assert {made.kind for made in sent.objects} == wanted


def test_the_objects_are_in_the_character_set_that_was_wanted(sent: Sent) -> None:
    assert [one for one in sent.objects if one.dataset.SpecificCharacterSet != sent.patient.objects_in] == []


def test_orthanc_gives_back_what_was_sent(sent: Sent, orthanc_with_study: Orthanc) -> None:
    (study,) = orthanc_with_study.studies()

    held = [orthanc_with_study.file(instance) for instance in orthanc_with_study.instances(study)]

    assert differences(sent.datasets, held) == []


def test_dcmqrscp_gives_back_what_was_sent(sent: Sent, dcmqrscp_with_study: Dcmqrscp) -> None:
    sop_classes = sorted({str(dataset.SOPClassUID) for dataset in sent.datasets.values()})

    held = dcmqrscp_with_study.get_study(sent.study_instance_uid, sop_classes)

    assert differences(sent.datasets, held) == []


def test_orthanc_shows_one_patient_with_one_study(sent: Sent, orthanc_with_study: Orthanc) -> None:
    series = {str(dataset.SeriesInstanceUID) for dataset in sent.datasets.values()}

    (patient,) = orthanc_with_study.api.get("/patients", params={"expand": ""}).json()
    (study,) = orthanc_with_study.studies()

    assert patient["MainDicomTags"]["PatientName"] == sent.patient.name
    assert {one["MainDicomTags"]["SeriesInstanceUID"] for one in orthanc_with_study.series(study)} == series


def test_each_object_in_orthanc_names_the_patient(sent: Sent, orthanc_with_study: Orthanc) -> None:
    (study,) = orthanc_with_study.studies()

    names = {
        orthanc_with_study.api.get(f"/instances/{instance}/simplified-tags").json()["PatientName"]
        for instance in orthanc_with_study.instances(study)
    }

    assert names == {sent.patient.name}


def test_qido_answers_with_the_parts_of_the_name(sent: Sent, orthanc_with_study: Orthanc) -> None:
    answer = orthanc_with_study.api.get("/dicom-web/studies", headers={"Accept": "application/dicom+json"})

    (study,) = answer.json()
    assert study["00100010"]["Value"] == [dict(zip(PN_GROUPS, sent.patient.name.split("="), strict=False))]
    assert study["0020000D"]["Value"] == [sent.study_instance_uid]


def test_orthanc_renders_every_picture_as_it_was_drawn(sent: Sent, orthanc_with_study: Orthanc) -> None:
    (study,) = orthanc_with_study.studies()
    drawn = {uid: dataset for uid, dataset in sent.datasets.items() if dataset.get("SamplesPerPixel") == 3}

    for instance in orthanc_with_study.instances(study):
        tags = orthanc_with_study.api.get(f"/instances/{instance}/simplified-tags").json()
        if dataset := drawn.pop(tags["SOPInstanceUID"], None):
            for number, frame in enumerate(dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns, 3)):
                preview = orthanc_with_study.api.get(f"/instances/{instance}/frames/{number}/preview").content
                assert np.array_equal(np.asarray(Image.open(BytesIO(preview))), frame)

    assert drawn == {}


def test_dcmqrscp_finds_one_study_with_all_its_objects(sent: Sent, dcmqrscp_with_study: Dcmqrscp) -> None:
    studies = Dataset()
    studies.QueryRetrieveLevel, studies.PatientID, studies.StudyInstanceUID = "STUDY", "", ""

    found = dcmqrscp_with_study.find(studies)

    assert [(one.PatientID, one.StudyInstanceUID) for one in found] == [("P-0001", sent.study_instance_uid)]
    assert found_instances(dcmqrscp_with_study, sent) == set(sent.datasets)


def found_instances(archive: Dcmqrscp, sent: Sent) -> set[str]:
    """SOP Instance UIDs of the study, asked series by series as its hierarchy wants."""
    held = set()
    for series in sorted({str(dataset.SeriesInstanceUID) for dataset in sent.datasets.values()}):
        wanted = Dataset()
        wanted.QueryRetrieveLevel, wanted.StudyInstanceUID = "IMAGE", sent.study_instance_uid
        wanted.SeriesInstanceUID, wanted.SOPInstanceUID = series, ""
        held |= {uid_of(one) for one in archive.find(wanted)}
    return held


def differences(sent: Mapping[str, Dataset], held: Sequence[bytes]) -> list[str]:
    """One line per element that an archive changed, and per object that it lost, made up or doubled."""
    received = {uid_of(dataset): dataset for dataset in (dcmread(BytesIO(file)) for file in held)}
    lines = [f"{uid} is not as often there as it was sent" for uid in sent.keys() ^ received.keys()]
    lines += [f"{len(held)} objects came back of {len(sent)}"] * (len(held) != len(sent))
    for uid in sent.keys() & received.keys():
        lines += element_differences(sent[uid], received[uid])
    return lines


def element_differences(sent: Dataset, received: Dataset) -> list[str]:
    tags = sent.keys() | received.keys()
    changed = [tag for tag in sorted(tags) if tag not in sent or tag not in received or sent[tag] != received[tag]]
    return [f"{sent.Modality} {sent.SOPInstanceUID}: {tag} differs" for tag in changed]


def uid_of(dataset: Dataset) -> str:
    return str(dataset.SOPInstanceUID)
