"""A synthetic spine MRI whose true answer is known. No clinical meaning."""

from inference.phantom.dicom import write_study
from inference.phantom.law import LesionTruth, PhantomTruth, Sign, oracle_probability
from inference.phantom.patient import PhantomPatient, PhantomSeries, generate_patient
from inference.phantom.subject import PhantomConfig

__all__ = [
    "LesionTruth",
    "PhantomConfig",
    "PhantomPatient",
    "PhantomSeries",
    "PhantomTruth",
    "Sign",
    "generate_patient",
    "oracle_probability",
    "write_study",
]
