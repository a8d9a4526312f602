"""The structured report against the findings it was made from: nothing lost, nothing added, nothing changed."""

import re
from collections.abc import Iterable
from typing import Final

from config import codes
from inference.findings import Decision, Findings, Lesion, Reason, Status
from node.report.check.agreement_of_series import series_agreement_faults
from node.report.check.answers import CLASS, REASON, answer_faults, outcome
from node.report.check.boxes import MEASUREMENT_GROUP, SaidBox, said_boxes, same_corners
from node.report.check.content import answers, key
from node.report.check.reading import NOTHING, ReadDataset, named, text
from node.report.check.received import ReceivedReport
from node.report.check.words import PROBABILITY, tells

# Something went wrong with a series; else it is of no interest
_FAILED: Final = frozenset(
    {Reason.BROKEN_PIXELS, Reason.UNSUPPORTED_PIXELS, Reason.UNREADABLE, Reason.MISSING_GEOMETRY}
)
_LOOKED_AT: Final = re.compile(r"DETECTED in (\d+) sequences?, (\d+) images?")
_VOTES: Final = re.compile(r"(\d+) of (\d+) voting sequences? and (\d+) of (\d+) voting images? say")
_TIED: Final = "votes were tied"


def agreement_faults(dataset: ReadDataset, report: ReceivedReport) -> Iterable[str]:
    findings = report.findings
    if findings is None:
        return
    groups = named(dataset, MEASUREMENT_GROUP)
    if len(groups) != len(findings.lesions):
        yield f"has {len(groups)} boxes for {len(findings.lesions)} lesions"
    boxes = list(said_boxes(report))
    for number, lesion in enumerate(findings.lesions, start=1):
        yield from (f"lesion {number} of the findings {fault}" for fault in _lesion(lesion, boxes))
    yield from (f"the result of the patient {fault}" for fault in _patient(dataset, findings))
    yield from series_agreement_faults(dataset, findings)


def _lesion(lesion: Lesion, boxes: list[SaidBox]) -> Iterable[str]:
    box = lesion.box
    corners = (box.x0, box.y0, box.x1, box.y1)
    place = (lesion.image.sop_instance_uid, lesion.image.frame_number or 1)
    alike = [one for one in boxes if (one.sop_instance_uid, one.frame) == place and same_corners(one.corners, corners)]
    if lesion.tracking_uid and len(alike) > 1:
        alike = [one for one in alike if one.tracking_uid == lesion.tracking_uid]
    if len(alike) != 1:
        yield "has no box of its own where it was found"
        return
    (said,) = alike
    if lesion.tracking_uid and said.tracking_uid != lesion.tracking_uid:
        yield "is tracked under another UID"
    expected = (
        (codes.ASSESSMENT_CATEGORY, CLASS[lesion.verdict]),
        (codes.DETECTOR_CLASS, CLASS[lesion.detector_verdict] if lesion.detector_verdict else None),
        (codes.PROBABILITY_OF_CANCER, 100 * lesion.probability_malignant),
        (codes.CERTAINTY_OF_FINDING, 100 * lesion.score),
    )
    yield from answer_faults(answers(said.group), expected)


def _patient(dataset: ReadDataset, findings: Findings) -> Iterable[str]:
    said = answers(next(iter(named(dataset, key(codes.QUALITATIVE_EVALUATIONS))), NOTHING))
    decision, age = findings.decision, findings.age_probability
    expected = (
        (codes.RUN_SUMMARY, _run_summary(findings)),
        (codes.OVERALL_ASSESSMENT, _verdict(findings)),
        (codes.REASON_NOT_ANALYSED, _reason(findings)),
        (codes.PROBABILITY_OF_CANCER, 100 * decision.probability_malignant if decision else None),
        (codes.MALIGNANT_VOTE_FRACTION, 100 * decision.vote_fraction_malignant if decision else None),
        (codes.VOTE_OUTCOME, outcome(tie=decision.tie) if decision else None),
        (codes.SUBJECT_AGE, findings.age_years),
        (codes.AGE_PROBABILITY, 100 * age if age is not None and decision else None),
    )
    yield from answer_faults(said, expected)
    impression = text(said.get(key(codes.IMPRESSION), NOTHING), "TextValue")
    if not all(_impression(impression, findings)):
        yield "is summed up otherwise in the impression"


def _impression(words: str, findings: Findings) -> Iterable[bool]:
    """Whether the numbers of the impression are those of the findings."""
    if findings.status is Status.NOT_ANALYSED:
        return
    decision = findings.decision
    if decision is None:
        yield tells(words, _LOOKED_AT, len(findings.series_used), sum(len(one.images) for one in findings.series_used))
        return
    yield tells(words, PROBABILITY, 100 * decision.probability_malignant)
    yield tells(words, _VOTES, *_votes(findings, decision))
    yield (_TIED in words) is decision.tie


def _votes(findings: Findings, decision: Decision) -> list[int]:
    """Sequences for the verdict, of how many that vote; images for the verdict, of how many that vote."""
    sequences = [one.verdict for one in findings.sequences if one.verdict is not None]
    images = [vote.verdict for one in findings.sequences if one.verdict is not None for vote in one.votes]
    return [count for votes in (sequences, images) for count in (votes.count(decision.verdict), len(votes))]


def _verdict(findings: Findings) -> codes.Code:
    if findings.status is Status.NOT_ANALYSED:
        return codes.NOT_ANALYSED
    return CLASS[findings.decision.verdict] if findings.decision else codes.NO_LESION_DETECTED


def _reason(findings: Findings) -> codes.Code | None:
    if findings.status is not Status.NOT_ANALYSED or findings.reason is None:
        return None
    return REASON[findings.reason]


def _run_summary(findings: Findings) -> codes.Code:
    if findings.status is Status.NOT_ANALYSED:
        return codes.NONE_SUCCEEDED
    failed = any(series.reason in _FAILED for series in findings.series_left_out)
    if findings.lesions:
        return codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS if failed else codes.ALL_SUCCEEDED_WITH_FINDINGS
    return codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS if failed else codes.ALL_SUCCEEDED_WITHOUT_FINDINGS
