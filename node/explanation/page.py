"""The explanation of a case as one page."""

import math
from collections.abc import Sequence

from inference.findings import Verdict
from inference.selection import EligibleSeries
from inference.wff.config import FusionConfig
from inference.wff.explanation.arithmetic import ImageArithmetic, SequenceArithmetic, TermName
from inference.wff.explanation.case import ExplainedCase
from inference.wff.explanation.saliency import Saliency
from inference.wff.explanation.what_ifs import Outcome
from inference.wff.reading import SliceReading
from node.explanation import sentences
from node.explanation.markup import (
    bar,
    beside,
    figure,
    figures,
    heading,
    notice,
    page,
    paragraph,
    picture,
    table,
)
from node.explanation.pictures import Slice, plain, tinted, verdict_key, whole
from node.report.wording import ONE_PROBABILITY_PER_SEQUENCE, RESEARCH_USE, headline, impression, percent
from node.report_view.html_page import text

_HOLDS = "This page holds images of a patient, and no name."
_LETTER = {TermName.DETECTOR: "d", TermName.SEQUENCE: "m", TermName.AGE: "a"}


def explanation_page(told: ExplainedCase, *, subject: str, stored: Outcome | None = None) -> bytes:
    """`subject` names the case without patient data; `stored` is what it was answered with, where that is known."""
    findings = told.examination.findings
    names = sentences.sequence_names(told.examination.loaded.series)
    return page(
        f"Explanation of {subject}",
        [
            notice(*sentences.origin(findings.bundle)),
            heading(f"{headline(findings)}: why?", level=1),
            paragraph(impression(findings), css_class="lead"),
            paragraph(f"Explained: {subject}. {RESEARCH_USE} {_HOLDS}", css_class="quiet"),
            paragraph(sentences.sizes(findings.parameters)),
            _disagreement(told, stored),
            heading("How it was decided"),
            _votes(told, names),
            heading("What would have changed it"),
            _what_ifs(told, names),
            heading("Image by image"),
            paragraph(sentences.EQUATION),
            paragraph(_equation(told)),
            paragraph("" if told.explanation.fusion.lambda_detector else ONE_PROBABILITY_PER_SEQUENCE),
            paragraph(sentences.SALIENCY),
            _key(),
            *(_sequence(told, names, place) for place in range(len(names))),
        ],
    )


def _disagreement(told: ExplainedCase, stored: Outcome | None) -> str:
    differs = "" if stored is None else sentences.disagreement(stored, told.what_ifs.decided)
    return notice("This is not the answer that was sent", differs) if differs else ""


def _votes(told: ExplainedCase, names: Sequence[str]) -> str:
    rows = [
        [
            text(name),
            text(sentences.votes(one.votes, "images", sentences.silent_images(one))),
            _percent(one.votes.mean),
            text(sentences.how(one.votes)),
        ]
        for name, one in zip(names, told.explanation.sequences, strict=True)
    ]
    all_votes = told.explanation.votes
    silent = len(names) - all_votes.malignant - all_votes.benign
    patient = text(sentences.votes(all_votes, "sequences", silent)), _percent(all_votes.mean)
    rows.append(["*Patient", *patient, text(sentences.how(all_votes))])
    return table(("", "votes", "mean probability of malignancy", "verdict"), rows, numbers=(2,))


def _what_ifs(told: ExplainedCase, names: Sequence[str]) -> str:
    what_ifs, findings = told.what_ifs, told.examination.findings
    rows = [
        [
            text(sentences.change(one, names, told.explanation.fusion.tau)),
            text(sentences.outcome(one.outcome)),
            '<span class="turns">turns</span>' if one.changes_the_decision else '<span class="quiet">stays</span>',
        ]
        for one in what_ifs.changes
    ]
    half = (len(rows) + 1) // 2
    columns = ("if", "then", "decision")
    return "".join(
        (
            paragraph(f"Decided: {sentences.outcome(what_ifs.decided)}. {sentences.fewest_votes(what_ifs)}"),
            paragraph(sentences.age(what_ifs, findings.age_probability, told.age_table)),
            beside(*(table(columns, part) for part in (rows[:half], rows[half:]) if part)),
            paragraph(sentences.OTHER_VOTE, css_class="quiet"),
        )
    )


def _equation(told: ExplainedCase) -> str:
    fusion = told.explanation.fusion
    with_age = told.examination.findings.age_probability is not None
    calibrated = (
        f" Then calibrated: the log odds times {fusion.calibration_slope:.3g} plus {fusion.calibration_intercept:.3g}."
        if fusion.is_calibrated
        else ""
    )
    return (
        f"{sentences.equation(fusion, with_age=with_age)}. A lesion counts from a score of {fusion.tau:.2f}, of both "
        f"classes together.{calibrated}"
    )


def _key() -> str:
    frames = "".join(
        f'<span><i class="line{" dashed" if verdict is Verdict.BENIGN else ""}" style="border-color:{colour}"></i>'
        f"box of the detector: {verdict.value}</span>"
        for verdict, colour in verdict_key()
    )
    terms = "".join(
        f'<span><i style="background:var(--{letter})"></i>{name}</span>'
        for letter, name in (("d", "detector (D)"), ("m", "sequence classifier (M)"), ("a", "age (A)"))
    )
    ramp = '<span><i class="ramp"></i>saliency: none to strongest, line at one half</span>'
    return f'<div class="key">{terms}</div><div class="key">{frames}{ramp}</div>'


def _sequence(told: ExplainedCase, names: Sequence[str], place: int) -> str:
    arithmetic, series = told.explanation.sequences[place], told.examination.loaded.series[place]
    title = heading(f"{names[place]}, {series.kind_evidence}", level=3)
    saliency = told.saliency[place]
    if saliency is None:
        return title + paragraph(sentences.abstains(names[place], arithmetic.slices))
    told_strength = sentences.strength(saliency)
    return "".join(
        (
            title,
            _images(arithmetic, turn=_turn(told.explanation.fusion)),
            paragraph(f"What the sequence classifier read, and where its output is sensitive. {told_strength}"),
            _pictures(told, place, series, saliency),
        )
    )


def _turn(fusion: FusionConfig) -> float:
    """The P before calibration from which an image votes malignant."""
    return 1.0 / (1.0 + math.exp(fusion.calibration_intercept / fusion.calibration_slope))


def _images(sequence: SequenceArithmetic, *, turn: float) -> str:
    columns = ("slice", "D", "M", "A", "parts of P", "P", "votes")
    rows = [_image(one, sequence.slices, turn=turn) for one in sequence.images]
    return table(columns, rows, numbers=(1, 2, 3, 5))


def _image(image: ImageArithmetic, slices: int, *, turn: float) -> list[str]:
    spoken = ", ".join(f"{term.name} {term.contribution:.3f}" for term in image.terms)
    parts = bar([(_LETTER[term.name], term.contribution) for term in image.terms], spoken, turn=turn)
    probability = _percent(image.probability)
    if image.probability != image.fused:
        probability = f"{_percent(image.fused)} → {probability}"
    values = (_percent(term.value) if term.weight else '<span class="quiet">–</span>' for term in image.terms)  # noqa: RUF001
    return [text(sentences.image(image.index, slices)), *values, parts, probability, text(image.verdict.value)]


def _pictures(told: ExplainedCase, place: int, series: EligibleSeries, saliency: Saliency) -> str:
    reading = told.examination.reading
    voting = {} if reading is None else {one.index: one for one in reading.sequences[place].slices}
    shown = {index: _slice(told, place, series, index, voting) for index in saliency.slices}
    middle = max(saliency.slices, key=lambda index: _largest(voting.get(index)))
    count, region = len(series.slices), saliency.region
    first = figure(
        [picture(whole(shown[middle], region), f"{sentences.image(middle, count)} with boxes and the region read")],
        f"{sentences.image(middle, count)}; gray frame: the region that is read",
    )
    pairs = [
        figure(
            [
                picture(plain(shown[index], region), f"{sentences.image(index, count)}, plain"),
                picture(tinted(shown[index], region, values), f"{sentences.image(index, count)}, with saliency"),
            ],
            sentences.image(index, count),
        )
        for index, values in zip(saliency.slices, saliency.maps, strict=True)
    ]
    return figures(first, pairs)


def _slice(
    told: ExplainedCase, place: int, series: EligibleSeries, index: int, voting: dict[int, SliceReading]
) -> Slice:
    return Slice(
        pixels=told.examination.loaded.images[place][index],
        boxes=voting[index].lesions if index in voting else (),
        pixel_spacing_mm=series.slices[index].pixel_spacing_mm,
    )


def _largest(slice_: SliceReading | None) -> float:
    return max((found.box.area for found in slice_.lesions), default=0.0) if slice_ else 0.0


def _percent(value: float | None) -> str:
    return '<span class="quiet">–</span>' if value is None else text(percent(value))  # noqa: RUF001
