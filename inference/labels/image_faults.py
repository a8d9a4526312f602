"""Images that are there twice, by UID and by their pixels, and what else the pixels tell."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.pixels.utils import pixel_array

from inference.eligible_instances import Rejection, eligible_instances
from inference.heads import DAMAGED, is_disk_error
from inference.labels.dicom_folder import FoundInstance
from inference.labels.faults import Fault, FaultCode, PatientKey, Place
from inference.selection import EligibleSeries

_UNDECODABLE: Final = (*DAMAGED, RuntimeError)  # what decoders raise on damaged or foreign streams


@dataclass(slots=True)
class PixelMemory:
    """Remembers every image that was read by a hash of its pixels, and finds it again."""

    _seen: dict[bytes, list[tuple[PatientKey, str, Place]]] = field(default_factory=lambda: defaultdict(list))

    def add(self, patient: PatientKey, series: EligibleSeries, pixels: NDArray[np.float32], place: Place) -> None:
        """`pixels` (Z, Y, X) of the series. Images of one value (air) are passed over: they are all alike."""
        for image in pixels:
            if image.min() != image.max():
                digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
                self._seen[digest].append((patient, series.series_instance_uid, place))

    def shared(self) -> dict[frozenset[PatientKey], int]:
        """Patients that have images with the same pixels -> how many such images."""
        counts: dict[frozenset[PatientKey], int] = defaultdict(int)
        for seen in self._seen.values():
            if len(keys := frozenset(patient for patient, _, _ in seen)) > 1:
                counts[keys] += 1
        return counts

    def repeats(self) -> Iterator[Fault]:
        """One fault for two series of one patient (or one series) with the same pixels."""
        counts: dict[tuple[PatientKey, str, str], int] = defaultdict(int)
        places: dict[str, Place] = {}
        for seen in self._seen.values():
            for patient in {patient for patient, _, _ in seen}:
                series = sorted((uid, place.series_number) for who, uid, place in seen if who == patient)
                places.update({uid: place for who, uid, place in seen if who == patient})
                for (uid, _), (other, _) in pairwise(series):
                    counts[patient, uid, other] += 1
        for (patient, uid, other), count in counts.items():
            where = "twice in the series" if uid == other else f"in series {places[uid].series_number}, too"
            said = f"The same pixels are {where}: {count} image{'' if count == 1 else 's'}."
            yield Fault(code=FaultCode.IMAGE_TWICE, what=said, place=places[other], patients=(patient,))


def repeated_instances(instances: Sequence[FoundInstance]) -> Iterator[Fault]:
    """Files of one patient with the same SOP Instance UID: copies, or two images that claim to be one."""
    first: dict[str, FoundInstance] = {}
    for instance in instances:
        kept = first.setdefault(instance.head.sop_instance_uid, instance)
        if kept is instance:
            continue
        same = _pixels(kept) == _pixels(instance)
        yield Fault(
            code=FaultCode.IMAGE_TWICE if same else FaultCode.SAME_INSTANCE_TWO_IMAGES,
            what=f"The image is in {kept.file}, too{'' if same else ', with other pixels'}.",
            place=instance.place,
            patients=(instance.patient,),
        )


def _pixels(instance: FoundInstance) -> bytes | None:
    """A hash of the decoded pixels, so that two transfer syntaxes of one image are alike; else of the stored ones."""
    dataset = dcmread(instance.head.file)
    try:
        eligible_instances([instance.head])  # nothing is decoded that claims to be a million pixels wide
        pixels = pixel_array(dataset, raw=True)
        return hashlib.blake2b(pixels.astype(pixels.dtype.newbyteorder("="), copy=False).tobytes()).digest()
    except Rejection:
        pass
    except _UNDECODABLE as error:
        if is_disk_error(error):
            raise
    stored = dataset.get("PixelData")
    return None if stored is None else hashlib.blake2b(bytes(stored)).digest()
