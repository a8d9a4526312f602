"""Finds the image that an annotation means: by SOP Instance UID, or by the name of a file."""

import os.path
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from inference.heads import MULTI_FRAME_MR
from inference.labels.annotation import ImageKey
from inference.labels.dicom_folder import FoundInstance
from inference.labels.faults import PatientKey

# "scan-frame7.png" is frame 7 of scan.dcm: programs that know no frames annotate exported pictures
_FRAME: Final = re.compile(r"(.+)[-_.]frame0*([0-9]+)", re.IGNORECASE)
# DICOM files are often named by a UID and have no suffix: ".17" belongs to the name, ".png" does not
_SUFFIX: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,5}$")


class NoImage(Exception):
    """The name leads to no image, or to several; the text is the rest of a sentence about the annotation."""


@dataclass(frozen=True, slots=True)
class NamedImage:
    """The image that a name led to, and the file it is in."""

    key: ImageKey
    instance: FoundInstance

    def differs_from(self, rows: int | None, columns: int | None) -> bool:
        """Whether an annotation that says it was drawn on so many pixels was drawn on another picture."""
        head = self.instance.head
        return (rows, columns) not in ((head.rows, head.columns), (None, None))

    @property
    def size_text(self) -> str:
        return f"{self.instance.head.columns} x {self.instance.head.rows}"


class ImageIndex:
    """The images of a folder by UID and by file name, upper and lower case alike."""

    def __init__(self, instances: Iterable[FoundInstance]) -> None:
        self._by_uid: dict[str, FoundInstance] = {}
        self._by_file: dict[str, list[FoundInstance]] = {}
        self._by_folder: dict[str, dict[PatientKey, None]] = {}  # an ordered set of patients each
        for instance in instances:
            if instance.head.rows <= 0 or not instance.head.frames:
                continue
            self._by_uid.setdefault(instance.head.sop_instance_uid, instance)
            for name in {instance.file, without_suffix(instance.file)}:
                self._by_file.setdefault(name.casefold(), []).append(instance)
            self._by_folder.setdefault(_folder(instance.file), {})[instance.patient] = None

    def by_uid(self, image: ImageKey) -> FoundInstance | None:
        """The instance, when the folder holds it and it has that frame."""
        found = self._by_uid.get(image.sop_instance_uid)
        if found is None or (image.frame is None) == (found.head.sop_class_uid in MULTI_FRAME_MR):
            return None
        return found if image.frame is None or 1 <= image.frame <= len(found.head.frames) else None

    def key(self, sop_instance_uid: str, frame: int | None) -> ImageKey:
        """As series name their images: without a frame where the instance has only one image by its kind."""
        found = self._by_uid.get(sop_instance_uid)
        if found is None or found.head.sop_class_uid in MULTI_FRAME_MR:
            return ImageKey(sop_instance_uid, frame)
        return ImageKey(sop_instance_uid)

    def by_names(self, *files: str) -> NamedImage:
        """The image of the first of these names (relative to the folder, with "/") that there is.

        A name fits a DICOM file of the same name, or of the same name but for the suffix.

        Raises
        ------
        NoImage
            no file has such a name, or several have, or a multi-frame file is named without a frame.
        """
        for file in files:
            found, frame = self._named(file)
            if found:
                return self._only(found, file, frame)
        raise NoImage(f"no DICOM image has the name {files[0]}")

    def others_named(self, file: str, image: NamedImage) -> Sequence[FoundInstance]:
        """The files that the name leads to, where `image` is none of them, or is another frame."""
        found, frame = self._named(file)
        keys = (self.key(one.head.sop_instance_uid, image.key.frame if frame is None else frame) for one in found)
        return () if image.key in keys else found

    def patients_beside(self, *files: str) -> tuple[PatientKey, ...]:
        """Whose images lie in the folders of these files."""
        return tuple(dict.fromkeys(one for file in files for one in self._by_folder.get(_folder(file), ())))

    def _named(self, file: str) -> tuple[Sequence[FoundInstance], int | None]:
        """The files that the name fits, several where it leaves open which, and the frame that it says."""
        bare = without_suffix(file)
        framed = _FRAME.fullmatch(bare)
        for name, frame in ((file, None), (bare, None), *([(framed[1], int(framed[2]))] if framed else [])):
            if found := self._by_file.get(name.casefold()):
                return found, frame
        return (), None

    def _only(self, found: Sequence[FoundInstance], file: str, frame: int | None) -> NamedImage:
        exact = [one for one in found if one.file == file] or found
        if len(exact) > 1:
            names = ", ".join(one.file for one in exact[:3])
            raise NoImage(f"{file} may be any of several files: {names}")
        key = self.key(exact[0].head.sop_instance_uid, frame)
        if exact[0].head.sop_class_uid in MULTI_FRAME_MR and frame is None:
            raise NoImage(f"{file} is a multi-frame image, and the name says no frame (name-frame7)")
        if self.by_uid(key) is None:
            raise NoImage(f"{file} has no frame {frame}")
        return NamedImage(key, exact[0])


def relative_name(parent: str, name: str) -> str:
    """`name` as an annotation in folder `parent` writes it, relative to the whole folder. Backslashes are of Windows.

    Of an absolute path, which is of the machine where the annotation was drawn, only the last part counts.
    """
    path = PureWindowsPath(name)  # takes both kinds of slashes
    parts = path.parts[-1:] if path.is_absolute() or path.root or path.drive else path.parts
    return os.path.normpath(PurePosixPath(parent, *parts)).replace(os.sep, "/")


def _folder(file: str) -> str:
    return str(PurePosixPath(file).parent).casefold()


def without_suffix(file: str) -> str:
    return _SUFFIX.sub("", file)
