"""Where images come from: DICOM files and data sets of the phantom are known by what was written into them.

Nobody is asked: a bundle trained on such a data set says "not for clinical use" in every object it makes.
"""

import json
from pathlib import Path
from typing import Final

from pydicom import dcmread

from inference.phantom.dicom import MANUFACTURER

_RECIPE: Final = "recipe.json"  # lies in a data set that was painted without DICOM files in between
_ABOUT: Final = "about.json"
_PHANTOM: Final = "phantom"


def is_phantom_image(file: Path) -> bool:
    """Whether a DICOM file shows the phantom, also after other hands changed its identity.

    One mark is enough: what is missed would count as a patient. A quality control image shows no patient, whoever made
    it (PS3.3 C.7.6.1, Quality Control Image (0028,0300)).
    """
    head = dcmread(file, stop_before_pixels=True, specific_tags=["Manufacturer", "QualityControlImage"])
    return bool(head.get("Manufacturer") == MANUFACTURER or head.get("QualityControlImage") == "YES")


def mark_as_phantom(data_set: Path) -> None:
    """Write into the folder of a data set that the phantom has a part in it."""
    (data_set / _ABOUT).write_text(json.dumps({_PHANTOM: True}) + "\n", encoding="utf-8")


def is_phantom_data(data_set: Path) -> bool:
    """Whether the phantom has a part in a data set: one of the marks is enough."""
    return is_painted_data(data_set) or _says_phantom(data_set / _ABOUT)


def is_painted_data(data_set: Path) -> bool:
    """Whether the phantom made all of a data set, by a recipe; of imported files nobody can tell."""
    return (data_set / _RECIPE).exists()


def _says_phantom(about: Path) -> bool:
    """A file that cannot be understood hides nothing: it counts as the mark that it may have been."""
    if not about.exists():
        return False
    try:
        said = json.loads(about.read_text(encoding="utf-8"))
    except ValueError:
        return True
    return bool(said.get(_PHANTOM)) if isinstance(said, dict) else True
