import json
from typing import Any

import pytest

from inference.findings import (
    Box,
    BundleIdentity,
    Decision,
    Findings,
    ImageReference,
    ImageVote,
    Lesion,
    Reason,
    SequenceKind,
    SequenceVote,
    SeriesLeftOut,
    SeriesUsed,
    Status,
    Verdict,
)
from inference.findings_json import from_json, to_json

BUNDLE = BundleIdentity(
    pipeline="wff",
    name="toy",
    version="1",
    sha256="ab",
    trained_on="x",
    validated_on="y",
    phantom_trained=True,
    components=("detector", "fusion"),
)
IMAGE = ImageReference(sop_class_uid="1.2", sop_instance_uid="1.3", frame_number=4)
LEFT_OUT = SeriesLeftOut(
    series_instance_uid="1.6", study_instance_uid="1.5", reason=Reason.WRONG_PLANE, detail="axial", instance_count=17
)


def full() -> Findings:
    box = Box(x0=0.1, y0=1 / 3, x1=10.0, y1=20.7)
    vote = ImageVote(image=IMAGE, detector_probability=0.1, probability_malignant=0.7, verdict=Verdict.MALIGNANT)
    return Findings(
        status=Status.LESION_DETECTED,
        bundle=BUNDLE,
        detail="two lesions",
        lesions=(
            Lesion(
                image=IMAGE,
                series_instance_uid="1.4",
                box=box,
                verdict=Verdict.BENIGN,
                score=0.9,
                probability_malignant=0.7,
            ),
        ),
        sequences=(
            SequenceVote(
                series_instance_uid="1.4",
                kind=SequenceKind.T2FS,
                image_count=11,
                votes=(vote,),
                classifier_probability=0.25,
                crop=box,
                mean_probability=0.7,
                verdict=Verdict.MALIGNANT,
                tie=False,
            ),
            SequenceVote(
                series_instance_uid="1.7",
                kind=SequenceKind.T1,
                image_count=11,
                votes=(),
                classifier_probability=None,
                crop=None,
                mean_probability=None,
                verdict=None,
                tie=False,
            ),
        ),
        decision=Decision(verdict=Verdict.MALIGNANT, probability_malignant=0.7, vote_fraction_malignant=1.0, tie=True),
        age_years=1.5,
        age_probability=0.114,
        series_used=(
            SeriesUsed(
                series_instance_uid="1.4",
                study_instance_uid="1.5",
                kind=SequenceKind.T2FS,
                kind_evidence="TR 3000 ms",
                images=(IMAGE,),
            ),
        ),
        series_left_out=(LEFT_OUT,),
        parameters={"tau": 0.3},
        timings_s={"read": 0.01},
    )


def not_analysed() -> Findings:
    return Findings(
        status=Status.NOT_ANALYSED, bundle=BUNDLE, reason=Reason.NO_ELIGIBLE_SERIES, series_left_out=(LEFT_OUT,)
    )


@pytest.mark.parametrize("findings", [full(), not_analysed()], ids=["full", "not analysed"])
def test_findings_come_back_from_json_text_as_they_were(findings: Findings) -> None:
    text = json.dumps(to_json(findings))

    assert from_json(json.loads(text)) == findings


def test_json_holds_plain_values_only() -> None:
    data = to_json(full())

    assert type(data["status"]) is str
    assert type(data["sequences"][0]["kind"]) is str
    assert type(data["lesions"]) is list


def change(path: list[Any], value: Any) -> dict[str, Any]:
    data = to_json(full())
    place: Any = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (["status"], "fine", "fine"),
        (["surprise"], 1, "surprise"),
        (["lesions", 0, "score"], "high", r"lesions\[0\]\.score"),
        (["lesions"], {}, "lesions"),
        (["decision"], [], "decision"),
        (["bundle"], {"name": "toy"}, "bundle: lacks"),
    ],
)
def test_data_that_does_not_fit_is_refused_by_its_place(path: list[Any], value: Any, named: str) -> None:
    with pytest.raises((ValueError, TypeError), match=named):
        from_json(change(path, value))
