"""What can be told of a model because the truth of the phantom is known: planted lesions hit, and the best reader."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from inference.evaluation.metrics import Rate, area_under_roc
from inference.evaluation.results import Evaluation
from inference.evaluation.subject import PHANTOM_HEADING
from inference.findings import Findings
from inference.phantom.identity import GENERATOR
from inference.wff.config import FusionConfig
from inference.wff.demo_bundle.acceptance import acceptance
from inference.wff.demo_bundle.cohorts import Cohorts, Oracle, ask_oracle
from inference.wff.evaluation.hits import Measured, measure, read_all
from inference.wff.model import WffModel
from inference.wff.patients import DetectedPatient
from inference.wff.training.report import Extras
from inference.wff.training.weaknesses import NO_EXTERNAL_TEST, parts_without_weight

IMAGES_ALONE: Final = "Det-Seq"  # the strategy that is compared with the oracle who sees no age


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortResult:
    """One cohort: what the model did, and what the oracle would on the same patients."""

    measured: Measured
    oracle_decision: Rate
    oracle_area: float
    oracle_area_with_age: float


def cohort_result(model: WffModel, detected: Sequence[DetectedPatient], oracle: Oracle, *, seed: int) -> CohortResult:
    """Needs benign and malignant patients."""
    results = read_all(model, detected, model.config.fusion)
    names = [one.patient_id for one in results if one.truth is not None]
    truth = [oracle.malignant[name] for name in names]
    with_age = [oracle.from_signs_and_age[name] for name in names]
    right = sum((said >= 0.5) is malignant for said, malignant in zip(with_age, truth, strict=True))
    return CohortResult(
        measured=measure(results, seed=seed),
        oracle_decision=Rate(right, len(names)),
        oracle_area=area_under_roc([oracle.from_signs[name] for name in names], truth),
        oracle_area_with_age=area_under_roc(with_age, truth),
    )


def extras_of(
    model: WffModel,
    evaluation: Evaluation,
    detected: Mapping[str, Sequence[DetectedPatient]],
    cohorts: Cohorts,
    *,
    seed: int,
    real_study: Findings | None,
) -> Extras:
    """`detected`: by cohort, "unseen_sites" among them; `evaluation` is of those."""
    oracle = ask_oracle(getattr(cohorts, name) for name in detected)
    results = {name: cohort_result(model, patients, oracle, seed=seed) for name, patients in detected.items()}
    images = next(row for row in evaluation.strategy_rows() if row.name == IMAGES_ALONE).performance.area
    unseen = results["unseen_sites"]
    share = (images.value - 0.5) / (unseen.oracle_area - 0.5)
    sites = ", ".join(cohorts.held_out_sites)
    rows = [row for name, result in results.items() for row in _rows(_TITLES[name].format(sites=sites), result)]
    reach = f"{images} of {unseen.oracle_area:.3f}: {100 * share:.0f} % of what lies above chance"
    rows.append((f"AUC of {IMAGES_ALONE} beside that of the reader who sees every planted sign, no age", reach))
    asked = acceptance(
        unseen.measured, evaluation, images=images, oracle_area=unseen.oracle_area, real_study=real_study
    )
    return Extras(
        rows=[*rows, *(one.row for one in asked)],
        weaknesses=weaknesses(model.config.fusion, unseen.oracle_decision, real_study),
        measured={
            "cohorts": {name: _numbers(result) for name, result in results.items()},
            "images_alone": {"area": asdict(images), "oracle_area": unseen.oracle_area, "share_of_oracle": share},
            "acceptance": [asdict(one) for one in asked],
            "phantom": asdict(cohorts),
            "generator": GENERATOR,
        },
    )


_TITLES: Final = {
    "unseen_sites": "scanners never trained on ({sites})",
    "seen_sites": "scanners trained on, other patients",
    "unseen_look": "a look never trained on, in a region hardly trained on (chordoma and its benign twin)",
}


def weaknesses(fusion: FusionConfig, oracle: Rate, real_study: Findings | None) -> list[str]:
    """The lines of the model card that say what not to expect; `oracle` are the patients that it decides right."""
    errors = f"{oracle.total - oracle.hits} of {oracle.total} patients"
    return [
        "- Real images differ from the phantom in more than the phantom can say; detections on a real study are noise.",
        *([] if real_study is None else [f"- Seen: on a real study without a known tumour, it {_said(real_study)}."]),
        f"- The phantom's lesions are few families with plain signs; even the oracle errs on {errors}.",
        "- How boxes of both classes are joined was chosen with a look at held-out patients: numbers flatter a little.",
        NO_EXTERNAL_TEST,
        *parts_without_weight(fusion),
    ]


def _said(findings: Findings) -> str:
    decision = findings.decision
    if decision is None:
        return f"found nothing ({findings.status})"
    votes = f"{100 * decision.vote_fraction_malignant:.0f} % of the voting images said malignant"
    how = "after a tie of the sequences" if decision.tie else "by the majority of the sequences"
    return (
        f"marked {len(findings.lesions)} boxes, {votes}, and {how} it decided "
        f'"{decision.verdict}", probability of malignancy {decision.probability_malignant:.2f} ({PHANTOM_HEADING})'
    )


def _rows(title: str, result: CohortResult) -> list[tuple[str, str]]:
    one = result.measured
    low, high = one.area_interval
    rows = [
        (f"{title}: planted lesion hit", str(one.hit)),
        (f"{title}: decision right", str(one.decision.accuracy)),
        (f"{title}: AUC", f"{one.area:.3f} ({low:.3f}-{high:.3f})"),
        (
            f"{title}: Bayes oracle, which sees every planted sign and the age",
            f"right in {result.oracle_decision}, AUC {result.oracle_area_with_age:.3f}",
        ),
    ]
    if one.lesion_free:
        rows.append((f"{title}: false boxes per lesion-free patient", f"{one.false_boxes_per_lesion_free:.2f}"))
    return rows


def _numbers(result: CohortResult) -> dict[str, Any]:
    one = result.measured
    return {
        "lesion_hit": _rate(one.hit),
        "decision_right": _rate(one.decision.accuracy),
        "sensitivity": _rate(one.decision.sensitivity),
        "specificity": _rate(one.decision.specificity),
        "area_under_roc": one.area,
        "area_under_roc_interval": list(one.area_interval),
        "undetected": one.undetected,
        "lesion_free": one.lesion_free,
        "lesion_free_alarmed": one.lesion_free_alarmed,
        "false_boxes_per_lesion_free": one.false_boxes_per_lesion_free,
        "oracle_decision": _rate(result.oracle_decision),
        "oracle_area": result.oracle_area,
        "oracle_area_with_age": result.oracle_area_with_age,
    }


def _rate(rate: Rate) -> dict[str, object]:
    return {"hits": rate.hits, "total": rate.total, "value": rate.value, "wilson_95": list(rate.interval)}
