"""Every sentence a reader meets, said once: the SR, the overlays and the summary picture use the same words."""

from collections import Counter
from math import dist

from config import codes
from inference.findings import (
    BundleIdentity,
    Decision,
    Findings,
    Lesion,
    Reason,
    SequenceKind,
    SequenceVote,
    SeriesLeftOut,
    Status,
    Verdict,
    verdict_of,
)
from node.report.errors import NotMadeError
from node.report.identifiers import model_name

RESEARCH_USE = "For research use only. Not for diagnosis."
RESEARCH_USE_SHORT = "AI, research use only, not for diagnosis"
PHANTOM_SHORT = "Synthetic phantom model: no clinical meaning"
PHANTOM = (
    "This model was trained on a synthetic phantom. Its results have no clinical meaning and say nothing about "
    "this patient."
)
NO_LESION_CAVEAT = "This does not exclude a lesion."
ONE_PROBABILITY_PER_SEQUENCE = (
    "The detector only finds lesions: its class has no weight in this model, so all images of a sequence have the same "
    "probability of malignancy."
)

KIND = {
    SequenceKind.T1: "T1",
    SequenceKind.T2: "T2",
    SequenceKind.T2FS: "T2 fat-suppressed",
}

REASON = {
    Reason.NOT_MR: "not MR",
    Reason.NOT_AN_IMAGE: "not an image",
    Reason.LOCALIZER: "localizer",
    Reason.MISSING_GEOMETRY: "position or orientation missing",
    Reason.WRONG_PLANE: "not sagittal",
    Reason.MIXED_ORIENTATION: "several orientations in one series",
    Reason.NOT_SPINE: "not the spine",
    Reason.UNKNOWN_KIND: "weighting is neither T1 nor T2 nor fat-suppressed T2",
    Reason.TOO_FEW_SLICES: "too few slices",
    Reason.BROKEN_PIXELS: "damaged pixels",
    Reason.UNSUPPORTED_PIXELS: "pixels in a form that cannot be decoded",
    Reason.UNREADABLE: "unreadable file",
    Reason.NO_ELIGIBLE_SERIES: "no eligible series",
    Reason.IDENTITY_CONFLICT: "patient identity in doubt",
    Reason.MODEL_FAILURE: "the model failed",
}

# Reasons that mean something went wrong, rather than that a series is of no interest
_TECHNICAL = frozenset({Reason.BROKEN_PIXELS, Reason.UNSUPPORTED_PIXELS, Reason.UNREADABLE, Reason.MISSING_GEOMETRY})


def percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"


def counted(number: int, noun: str) -> str:
    """E.g. "1 slice", "3 slices"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def outcome(findings: Findings) -> str:
    """One or two words; part of the series description, so PACS rules can match on it."""
    if findings.status is Status.NOT_ANALYSED:
        return "not analysed"
    return findings.decision.verdict.value if findings.decision else "no lesion"


def headline(findings: Findings) -> str:
    if findings.status is Status.NOT_ANALYSED:
        return "NOT ANALYSED"
    return findings.decision.verdict.value.upper() if findings.decision else "NO LESION DETECTED"


def impression(findings: Findings) -> str:
    """The result in two or three sentences, with what the model is worth: many viewers show nothing else."""
    caveat = f" {PHANTOM_SHORT}." if findings.bundle.phantom_trained else ""
    return f"{_result(findings)}{caveat}"


def _result(findings: Findings) -> str:
    who = f"{model_name(findings.bundle)} (AI)"
    if findings.status is Status.NOT_ANALYSED:
        return f"{who}: NOT ANALYSED. {not_analysed(findings)}"
    if findings.decision is None:
        images = sum(len(series.images) for series in findings.series_used)
        seen = f"{counted(len(findings.series_used), 'sequence')}, {counted(images, 'image')}"
        return f"{who}: NO LESION DETECTED in {seen}. {NO_LESION_CAVEAT}"
    decision = findings.decision
    parts = [
        f"{who}: {headline(findings)}. Probability of malignancy {percent(decision.probability_malignant)}.",
        f"{votes_of_patient(findings)}.",
        how_decided(decision),
    ]
    return " ".join(part for part in parts if part)


def not_analysed(findings: Findings) -> str:
    reason = REASON[findings.reason] if findings.reason else "no reason given"
    return f"{sentence(reason)} {sentence(findings.detail)}" if findings.detail else sentence(reason)


def sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


def how_decided(decision: Decision) -> str:
    """What a reader could stumble over: a tie, or a verdict against the probability beside it; empty otherwise."""
    if decision.tie:
        return f"The votes were tied; the mean probability decided for {decision.verdict.value}."
    return against_the_mean(decision.verdict, decision.probability_malignant)


def against_the_mean(verdict: Verdict, mean_probability: float | None) -> str:
    """Empty when the mean says what the votes say."""
    if mean_probability is None or verdict_of(mean_probability) is verdict:
        return ""
    return f"The majority of the votes decided for {verdict.value}, against the mean probability."


def votes_of_patient(findings: Findings) -> str:
    """E.g. "2 of 3 voting sequences and 9 of 12 voting images say malignant", counted for the decision's verdict."""
    said = findings.decision.verdict if findings.decision else Verdict.MALIGNANT
    sequences = [vote for vote in findings.sequences if vote.verdict is not None]
    images = [image for vote in sequences for image in vote.votes]
    return (
        f"{sum(vote.verdict is said for vote in sequences)} of {counted(len(sequences), 'voting sequence')} and "
        f"{sum(image.verdict is said for image in images)} of {counted(len(images), 'voting image')} say {said.value}"
    )


def malignant_votes(vote: SequenceVote) -> int:
    return sum(image.verdict is Verdict.MALIGNANT for image in vote.votes)


def sequence_result(vote: SequenceVote) -> str:
    """E.g. "T2: malignant. 5 of 11 images vote, 4 malignant. Mean probability 81.2 %. ..."."""
    if vote.verdict is None:
        return f"{KIND[vote.kind]}: abstains. None of its {counted(vote.image_count, 'image')} votes."
    parts = [
        f"{KIND[vote.kind]}: {vote.verdict.value}.",
        f"{len(vote.votes)} of {counted(vote.image_count, 'image')} vote, {malignant_votes(vote)} malignant.",
    ]
    if vote.mean_probability is not None:
        parts.append(f"Mean probability of malignancy {percent(vote.mean_probability)}.")
    if vote.classifier_probability is not None:
        parts.append(f"Sequence classifier {percent(vote.classifier_probability)}.")
    parts.append(
        "The votes were tied; the mean probability decided."
        if vote.tie
        else against_the_mean(vote.verdict, vote.mean_probability)
    )
    return " ".join(part for part in parts if part)


def clip(vote: SequenceVote) -> str:
    """What the sequence classifier was given; empty when it was given nothing."""
    if vote.crop is None or not vote.clip_images:
        return ""
    box = vote.crop
    return (
        f"The sequence classifier read columns {box.x0:g} to {box.x1:g} and rows {box.y0:g} to {box.y1:g}"
        f"{_size_mm(vote)} of {counted(len(vote.clip_images), 'image')}."
    )


def _size_mm(vote: SequenceVote) -> str:
    if len(vote.crop_corners_mm) != 4:  # findings of an earlier release
        return ""
    top_left, top_right, bottom_right, _ = vote.crop_corners_mm
    return f" ({dist(top_left, top_right):.1f} x {dist(top_right, bottom_right):.1f} mm)"


def age_term(findings: Findings) -> str:
    if findings.age_years is None or findings.age_probability is None:
        return "Age unknown: no age term"
    years = f"{findings.age_years:.0f}" if findings.age_years >= 2 else f"{findings.age_years:.1f}"
    told = f"Age {years} years: malignant share of the age group {percent(findings.age_probability)}"
    return f"{told}, without weight in this model" if findings.parameters.get("lambda_age") == 0.0 else told


def lesion_label(lesion: Lesion) -> str:
    detector = lesion.detector_verdict
    other = "" if detector in (None, lesion.verdict) else f" (detector: {detector})"
    return f"{lesion.verdict.value.upper()}{other}  score {lesion.score:.2f}"


def box_without_label(lesion: Lesion) -> str:
    """Below a picture, where the label found no place beside its box."""
    return f"Box without label: {lesion_label(lesion)}"


def segment(lesion: Lesion) -> str:
    """What a segment is, for people."""
    probability = percent(lesion.probability_malignant)
    return f"Box of the detector, no outline of the lesion. Probability of malignancy {probability}. {RESEARCH_USE}"


def several_patients(count: int) -> str:
    return (
        f"This case holds images under {count} patient identities; a person released it as one patient. "
        "The report carries the identity of the study that it stands in."
    )


def late(seconds: float) -> str:
    """E.g. "Late answer: analysed 3.2 hours after the last image came."."""
    hours = seconds / 3600
    waited = (
        f"{hours / 24:.1f} days"
        if hours >= 48
        else f"{hours:.1f} hours"
        if hours >= 2
        else f"{seconds / 60:.0f} minutes"
    )
    return f"Late answer: analysed {waited} after the last image came."


def left_out(series: SeriesLeftOut) -> str:
    why = sentence(series.detail or REASON[series.reason])
    return f"Left out: {why} {counted(series.instance_count, 'instance')}."


def left_out_in_short(findings: Findings) -> str:
    """E.g. "4 series left out: 2 not sagittal, 1 localizer, 1 not the spine."; empty when there is none."""
    if not findings.series_left_out:
        return ""
    counts = Counter(REASON[series.reason] for series in findings.series_left_out)
    listed = ", ".join(f"{number} {reason}" for reason, number in counts.most_common())
    return f"{len(findings.series_left_out)} series left out: {listed}."


_OBJECT = {
    "overlays": "overlay pictures",
    "overlay_frames": "overlay pictures",
    "summary": "summary picture",
    "presentation_states": "presentation state",
    "key_objects": "key object selection",
    "segmentations": "segmentation",
    "pdf": "PDF page",
}


def not_made(name: str, error: Exception) -> str:
    """Why one of the objects beside the SR is missing. What a library says may quote the source: it is not told."""
    why = sentence(str(error)) if isinstance(error, NotMadeError) else f"Fault: {type(error).__name__}."
    return f"The {_OBJECT[name]} could not be made. {why}"


def overlays_left_out(missing: int, count: int, *, most: int) -> str:
    why = "the pixels cannot be read" if count <= most else f"at most {most} are made, of the highest probabilities"
    return f"The overlays lack {missing} of {counted(count, 'image')} with a box: {why}."


def states_left_out(missing: int) -> str:
    return (
        f"{counted(missing, 'presentation state')} could not be made: the images are in another study than the report."
    )


def model_line(bundle: BundleIdentity) -> str:
    return f"{bundle.name} {bundle.version}, sha256 {bundle.sha256[:12]}"


def caveats(bundle: BundleIdentity) -> str:
    """What every object that leaves the node says about its model."""
    phantom = f" {PHANTOM_SHORT}." if bundle.phantom_trained else ""
    return f"{RESEARCH_USE}{phantom} {model_line(bundle)}."


def run_summary(findings: Findings) -> codes.Code:
    """CID 6047: whether the algorithms ran to the end, and whether they found something."""
    if findings.status is Status.NOT_ANALYSED:
        return codes.NONE_SUCCEEDED
    complete = not any(series.reason in _TECHNICAL for series in findings.series_left_out)
    if findings.lesions:
        return codes.ALL_SUCCEEDED_WITH_FINDINGS if complete else codes.NOT_ALL_SUCCEEDED_WITH_FINDINGS
    return codes.ALL_SUCCEEDED_WITHOUT_FINDINGS if complete else codes.NOT_ALL_SUCCEEDED_WITHOUT_FINDINGS
