"""UIDs of everything that is made of a phantom patient: from the patient and names alone, no clock and no chance."""

import uuid
from typing import Final

from inference.phantom.identity import versions
from inference.phantom.patient import PhantomPatient

MANUFACTURER: Final = "PHANTOM"
MODEL_NAME: Final = "SPINE PHANTOM"
NOTICE: Final = "synthetic phantom, no clinical meaning"
# Names the phantom inside UUIDv5; drawn once, any fixed value would do.
_NAMESPACE: Final = uuid.UUID("5f0c2c1e-7a53-5b0e-9b36-0d7c9a3f6e11")
IMPLEMENTATION_CLASS_UID: Final = f"2.25.{_NAMESPACE.int}"
IMPLEMENTATION_NAME: Final = "SPINENODE_PHANT"


def phantom_uid(patient: PhantomPatient, *names: object) -> str:
    """A UID under 2.25 from a UUIDv5 of the patient and `names` (PS3.5 B.2).

    The versions have a part in it: what others paint is another image.
    """
    parts = (versions(), patient.seed, patient.index, patient.config, *names)
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(map(repr, parts))).int}"
