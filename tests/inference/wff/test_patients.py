from pathlib import Path

from inference.datasets import open_data_set
from inference.wff.model import WffModel
from inference.wff.patients import detect_all


def test_detecting_in_processes_gives_what_one_model_gives(data_set: Path, micro_model: WffModel) -> None:
    patients = open_data_set(data_set)[:2]

    found = detect_all(micro_model, patients, processes=2)

    assert [d.patient for d in found] == patients
    alone = micro_model.detect(patients[1].series[0].images())
    assert [len(s) for s in found[1].found[0]] == [len(s) for s in alone]
