"""Row 12 of TID 1500: what is said about the patient, the sequences, the series and the run, without coordinates."""

from collections.abc import Iterable

from highdicom.sr import ContainerContentItem, ContentItem

from config import codes
from inference.findings import Findings, SequenceVote, SeriesLeftOut, SeriesUsed, Status
from node.report import wording
from node.report.algorithm import algorithm_identification
from node.report.coding import ASSESSMENT, REASON, WEIGHTING
from node.report.document.content_items import code, container, count, number, percentage, text, uid


def evaluations(findings: Findings, *notes: str, late_s: float | None = None) -> Iterable[ContentItem]:
    """TID 1500 row 12: what is said about the patient, the sequences and the run. Empty notes are left out.

    `late_s`: seconds from the last image to the analysis, of a late answer.
    """
    yield code(codes.RUN_SUMMARY, wording.run_summary(findings))
    yield text(codes.IMPRESSION, wording.impression(findings))
    yield from _patient_result(findings)
    yield code(codes.INTENDED_USE, codes.RESEARCH_USE_ONLY)
    yield text(codes.COMMENT, wording.RESEARCH_USE)
    if findings.sequences and findings.parameters.get("lambda_detector") == 0.0:
        yield text(codes.COMMENT, wording.ONE_PROBABILITY_PER_SEQUENCE)
    if findings.bundle.phantom_trained:
        yield text(codes.COMMENT, wording.PHANTOM)
    yield text(codes.TRAINING_DATA, findings.bundle.trained_on)
    yield text(codes.VALIDATION_DATA, findings.bundle.validated_on)
    if late_s is not None:
        yield text(codes.COMMENT, wording.late(late_s))
        yield number(codes.ANSWER_DELAY, round(late_s / 60), codes.MINUTES)
    for note in filter(None, notes):
        yield text(codes.COMMENT, note)
    for vote in findings.sequences:
        yield _sequence_result(vote)
    for used in findings.series_used:
        yield _series_used(used)
    for left_out in findings.series_left_out:
        yield _series_left_out(left_out)
    for item in algorithm_identification(findings.bundle, _parameters(findings)):
        item.RelationshipType = "CONTAINS"  # rows 13 and 14 allow no modifiers here
        yield item


def _patient_result(findings: Findings) -> Iterable[ContentItem]:
    if findings.status is Status.NOT_ANALYSED:
        yield code(codes.OVERALL_ASSESSMENT, codes.NOT_ANALYSED)
        if findings.reason is not None:
            yield code(codes.REASON_NOT_ANALYSED, REASON[findings.reason])
    elif findings.decision is None:
        yield code(codes.OVERALL_ASSESSMENT, codes.NO_LESION_DETECTED)
    else:
        decision = findings.decision
        yield code(codes.OVERALL_ASSESSMENT, ASSESSMENT[decision.verdict])
        yield percentage(codes.PROBABILITY_OF_CANCER, decision.probability_malignant)
        yield percentage(codes.MALIGNANT_VOTE_FRACTION, decision.vote_fraction_malignant)
        yield code(codes.VOTE_OUTCOME, codes.TIE if decision.tie else codes.MAJORITY)
    if findings.age_years is not None:
        yield number(codes.SUBJECT_AGE, round(findings.age_years, 2), codes.YEARS)
    if findings.age_probability is not None and findings.decision is not None:
        yield percentage(codes.AGE_PROBABILITY, findings.age_probability)


def _sequence_result(vote: SequenceVote) -> ContainerContentItem:
    items: list[ContentItem] = [
        uid(codes.SERIES_INSTANCE_UID, vote.series_instance_uid),
        code(codes.WEIGHTING, WEIGHTING[vote.kind]),
        text(codes.IMPRESSION, wording.sequence_result(vote)),
        code(codes.ASSESSMENT_CATEGORY, ASSESSMENT[vote.verdict] if vote.verdict else codes.INDETERMINATE),
        code(codes.VOTE_OUTCOME, _vote_outcome(vote)),
        count(codes.IMAGE_COUNT, vote.image_count),
        count(codes.VOTING_IMAGE_COUNT, len(vote.votes)),
        count(codes.MALIGNANT_VOTE_COUNT, wording.malignant_votes(vote)),
    ]
    if vote.mean_probability is not None:
        items.append(percentage(codes.PROBABILITY_OF_CANCER, vote.mean_probability))
    if vote.classifier_probability is not None:
        items.append(percentage(codes.CLASSIFIER_PROBABILITY, vote.classifier_probability))
    if clip := wording.clip(vote):
        items.append(text(codes.COMMENT, clip))
        instances = dict.fromkeys(image.sop_instance_uid for image in vote.clip_images)
        items += [uid(codes.CLIP_IMAGE, instance) for instance in instances]
    return container(codes.SEQUENCE_RESULT, items)


def _vote_outcome(vote: SequenceVote) -> codes.Code:
    if vote.verdict is None:
        return codes.ABSTAINED
    return codes.TIE if vote.tie else codes.MAJORITY


def _series_used(series: SeriesUsed) -> ContainerContentItem:
    evidence = f" ({series.kind_evidence})" if series.kind_evidence else ""
    said = f"{wording.KIND[series.kind]}{evidence}, {wording.counted(len(series.images), 'image')}."
    items = [
        uid(codes.SERIES_INSTANCE_UID, series.series_instance_uid),
        code(codes.WEIGHTING, WEIGHTING[series.kind]),
        text(codes.COMMENT, said),
        count(codes.IMAGE_COUNT, len(series.images)),
    ]
    return container(codes.SERIES_USED, items)


def _series_left_out(series: SeriesLeftOut) -> ContainerContentItem:
    items: list[ContentItem] = []
    if series.series_instance_uid:  # an unreadable file has none
        items.append(uid(codes.SERIES_INSTANCE_UID, series.series_instance_uid))
    items += [
        code(codes.REASON_LEFT_OUT, REASON[series.reason]),
        text(codes.COMMENT, wording.left_out(series)),
        count(codes.INSTANCE_COUNT, series.instance_count),
    ]
    return container(codes.SERIES_LEFT_OUT, items)


def _parameters(findings: Findings) -> list[str]:
    return [f"{name} {value:g}" for name, value in sorted(findings.parameters.items())]
