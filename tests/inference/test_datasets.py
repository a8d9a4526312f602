from pathlib import Path

import numpy as np
import pytest

from inference.datasets import (
    DataSetWriter,
    LabelledPatient,
    SpineRegion,
    open_data_set,
    require_disjoint,
    split_hash,
)
from inference.findings import Box, SequenceKind, Verdict


def patient(name: str, verdict: Verdict | None = None) -> LabelledPatient:
    return LabelledPatient(patient_id=name, age_years=None, verdict=verdict, series=())


def test_a_data_set_comes_back_from_disk_as_it_was(tmp_path: Path) -> None:
    writer = DataSetWriter(tmp_path)
    images = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
    series = writer.add_series("P1", 0, SequenceKind.T2, images, [[], [Box(x0=1.5, y0=0, x1=3, y1=2)]])
    written = [
        LabelledPatient(
            patient_id="P1",
            age_years=44.0,
            verdict=Verdict.BENIGN,
            series=(series,),
            regions=(SpineRegion.THORACIC, SpineRegion.LUMBAR),
            site="north",
            lesion_type="hemangioma",
        ),
        patient("P2"),
    ]
    writer.close(written)

    read = open_data_set(tmp_path)

    assert read == written
    assert np.array_equal(read[0].series[0].images(), images)
    assert read[0].series[0].labelled_slices == [1]


def test_boxes_must_be_given_for_every_slice(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one list of boxes per slice"):
        DataSetWriter(tmp_path).add_series("P1", 0, SequenceKind.T1, np.zeros((3, 4, 4), dtype=np.uint8), [[]])


def test_a_patient_in_two_splits_is_refused() -> None:
    with pytest.raises(ValueError, match="P2"):
        require_disjoint({"training": [patient("P1"), patient("P2")], "held out": [patient("P2")]})


def test_a_patient_twice_in_a_split_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        require_disjoint({"training": [patient("P1"), patient("P1")]})


def test_the_hash_of_a_split_changes_when_a_patient_moves_and_not_with_the_order() -> None:
    a, b = patient("P1"), patient("P2")

    assert split_hash({"x": [a, b], "y": []}) == split_hash({"y": [], "x": [b, a]})
    assert split_hash({"x": [a, b], "y": []}) != split_hash({"x": [a], "y": [b]})
