"""A folder of labelled studies, built up by what a test says: small sagittal stacks, LabelMe files, pathology.csv."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

from pydicom.dataset import Dataset

from inference.findings import Box
from inference.heads import parse_head
from inference.labels.check import CheckedFolder, check_folder
from inference.labels.dicom_folder import FoundInstance, Person
from inference.labels.faults import Fault, FaultCode, PatientKey
from inference.labels.image_index import ImageIndex
from inference.labels.labelme import write_labelme
from tests.inference.mr_images import COLUMNS, ROWS, mr_slice, save, stored_pixels

SLICES = 6
LESION = Box(x0=5, y0=6, x1=15, y1=18)


def silent(stage: str, done: int, total: int) -> None:
    """Shows no progress."""


def index_of(images: Mapping[str, Dataset]) -> ImageIndex:
    """An index of images by file name, as if they lay in a folder."""
    return ImageIndex(
        FoundInstance(
            head=parse_head(dataset, Path(file)),
            file=file,
            patient=PatientKey("A"),
            person=Person(),
            series_number=1,
            frame_of_reference_uid="",
        )
        for file, dataset in images.items()
    )


class HospitalFolder:
    """Starts empty; every patient and series that is added has UIDs, name and pixels of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._series = 0

    def series(self, patient_id: str, *, slices: int = SLICES, **attributes: Any) -> list[Path]:
        """One sagittal T2 series in the patient's folder; returns its files in spatial order."""
        self._series += 1
        number = self._series
        folder = self.root / (patient_id or "nobody")
        folder.mkdir(parents=True, exist_ok=True)
        own_uid = crc32(patient_id.encode())
        values = {
            "PatientID": patient_id,
            "PatientName": f"Family{''.join(chr(97 + ord(c) % 26) for c in patient_id)}^Given",
            "PatientBirthDate": "19700102",
            "PatientAge": "050Y",
            "StudyInstanceUID": f"1.2.826.0.3.{own_uid}",
            "FrameOfReferenceUID": f"1.2.826.0.4.{own_uid}",
            "SeriesInstanceUID": f"1.2.826.0.2.{number}",
            "SeriesNumber": number,
            "WindowCenter": 1500,
            "WindowWidth": 3000,
            **attributes,
        }
        files = []
        for k in range(slices):
            own = {
                "SOPInstanceUID": f"1.2.826.0.1.{number}.{k + 1}",
                "PixelData": (stored_pixels(k) + 17 * number).tobytes(),
                **values,
            }
            # names run against the positions, so that file order is not spatial order
            files.append(save(mr_slice(k, **own), folder / f"series{number}-{slices - k}.dcm"))
        return files

    def labelme(self, image: Path, *boxes: Box, label: str = "benign") -> Path:
        """Rectangles beside the image."""
        file = image.with_suffix(".json")
        write_labelme(file, image.name, boxes or (LESION,), label=label, rows=ROWS, columns=COLUMNS)
        return file

    def patient(self, patient_id: str, label: str | None = "benign", **attributes: Any) -> list[Path]:
        """A series whose two middle slices have a box of this label; without a label, no boxes."""
        files = self.series(patient_id, **attributes)
        for file in files[2:4] if label else ():
            self.labelme(file, label=label or "")
        return files

    def pathology(self, *lines: str, header: str = "patient_id,label") -> None:
        (self.root / "pathology.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")

    def check(self) -> CheckedFolder:
        return check_folder(self.root, silent)

    def faults(self, *codes: FaultCode) -> Sequence[Fault]:
        """Of these codes; without codes all."""
        return [fault for fault in self.check().faults if not codes or fault.code in codes]


def only(faults: Iterable[Fault]) -> Fault:
    [fault] = faults
    return fault
