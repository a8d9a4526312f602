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
    """Whether a DICOM file shows the phantom, also after other hands changed its identity."""
    head = dcmread(file, stop_before_pixels=True, specific_tags=["Manufacturer"])
    return bool(head.get("Manufacturer") == MANUFACTURER)


def mark_as_phantom(data_set: Path) -> None:
    """Write into the folder of a data set that the phantom has a part in it."""
    (data_set / _ABOUT).write_text(json.dumps({_PHANTOM: True}) + "\n", encoding="utf-8")


def is_phantom_data(data_set: Path) -> bool:
    """Whether the phantom has a part in a data set."""
    if (data_set / _RECIPE).exists():
        return True
    about = data_set / _ABOUT
    return about.exists() and bool(json.loads(about.read_text(encoding="utf-8")).get(_PHANTOM))
