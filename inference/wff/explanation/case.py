"""A case examined again for the sake of its reasons: arithmetic, what would have changed it, and saliency maps."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from inference.case import Case
from inference.errors import ExplanationError
from inference.wff.explanation.arithmetic import Evidence, Explanation, SequenceEvidence, explain
from inference.wff.explanation.saliency import Saliency, require_captum, saliency_of
from inference.wff.explanation.what_ifs import WhatIfs, what_ifs
from inference.wff.model import WffModel
from inference.wff.networks.clips import choose_clip
from inference.wff.pipeline import Examination, WffPipeline

Progress = Callable[[str, int, int], None]  # stage, done, total


@dataclass(frozen=True, slots=True)
class ExplainedCase:
    """Of each sequence in the order of the examination; a sequence that abstains has no saliency."""

    examination: Examination
    explanation: Explanation
    what_ifs: WhatIfs
    saliency: tuple[Saliency | None, ...]
    age_table: tuple[float, ...]  # malignant fraction per age group

    def to_json(self) -> dict[str, Any]:
        """The numbers without the pictures."""
        series = self.examination.loaded.series
        return {
            "bundle": asdict(self.examination.findings.bundle),
            "decision": asdict(self.what_ifs.decided),
            "sequences": [
                {"kind": one.kind, "series_instance_uid": one.series_instance_uid, **asdict(arithmetic)}
                for one, arithmetic in zip(series, self.explanation.sequences, strict=True)
            ],
            "votes": asdict(self.explanation.votes),
            "fusion": asdict(self.explanation.fusion),
            "parameters": self.examination.findings.parameters,
            "age_probability": self.examination.findings.age_probability,
            "what_ifs": asdict(self.what_ifs),
            "saliency": [None if one is None else _without_maps(one) for one in self.saliency],
        }


def _without_maps(saliency: Saliency) -> dict[str, Any]:
    return {
        "slices": saliency.slices,
        "region": asdict(saliency.region),
        "uncovered": saliency.uncovered,
        "covered": saliency.covered,
        "strongest": saliency.strongest,
    }


def explain_case(pipeline: WffPipeline, case: Case, *, progress: Progress | None = None) -> ExplainedCase:
    """Raises ExplanationError where captum is missing, or no series of the case can be analysed."""
    require_captum()  # told before the networks have run
    report = progress or (lambda _stage, _done, _total: None)
    report("networks", 0, 1)
    examined = pipeline.examine(case)
    report("networks", 1, 1)
    if examined.reading is None:
        raise ExplanationError(f"there is no decision to explain: {examined.findings.detail}")
    model = pipeline.model
    evidence = Evidence(
        sequences=tuple(
            SequenceEvidence(found, read.clip)
            for found, read in zip(examined.found, examined.reading.sequences, strict=True)
        ),
        age_probability=examined.findings.age_probability,
        fusion=model.config.fusion,
    )
    return ExplainedCase(
        examination=examined,
        explanation=explain(evidence),
        what_ifs=what_ifs(
            evidence, at_tau=lambda tau: _at_tau(model, examined, evidence, tau), age_table=model.age_table.malignant
        ),
        saliency=_saliency(model, examined, report),
        age_table=model.age_table.malignant,
    )


def _at_tau(model: WffModel, examined: Examination, evidence: Evidence, tau: float) -> Evidence:
    """Other slices vote at another threshold, so the clips are cut and read anew."""
    fusion = replace(evidence.fusion, tau=tau)
    clips = model.classify(examined.loaded.images, examined.found, fusion)
    sequences = tuple(SequenceEvidence(found, clip) for found, clip in zip(examined.found, clips, strict=True))
    return replace(evidence, sequences=sequences, fusion=fusion)


def _saliency(model: WffModel, examined: Examination, report: Progress) -> tuple[Saliency | None, ...]:
    tau, settings = model.config.fusion.tau, model.config.sequence
    maps: list[Saliency | None] = []
    for images, found in zip(examined.loaded.images, examined.found, strict=True):
        clip = choose_clip(images, found, tau, settings)
        maps.append(None if clip is None else saliency_of(clip, model.clip_logits))
        report("saliency", len(maps), len(examined.found))
    return tuple(maps)
