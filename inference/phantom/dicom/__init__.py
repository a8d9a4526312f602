"""Phantom patients as DICOM: classic or Enhanced MR, with the habits of a site; the same bytes every time."""

from inference.phantom.dicom.form import StudyForm
from inference.phantom.dicom.identifiers import MANUFACTURER
from inference.phantom.dicom.study import write_study

__all__ = ["MANUFACTURER", "StudyForm", "write_study"]
