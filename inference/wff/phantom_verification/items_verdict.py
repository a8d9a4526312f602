"""Items (b), (d) and (h): how well benign and malignant are told apart, beside what can be known at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from inference.datasets import LabelledPatient
from inference.phantom.law import PhantomTruth, oracle_probability
from inference.wff.patients import ClassifiedPatient
from inference.wff.phantom_verification.areas import SamePatients, Scores, same_patients
from inference.wff.phantom_verification.cohorts import HALF, NONE, PLAIN, Cohort, is_malignant
from inference.wff.phantom_verification.findings import Finding, Item, from_estimate
from inference.wff.phantom_verification.items_detection import HIT_BOUND, hit_rate
from inference.wff.phantom_verification.scale import Scale
from inference.wff.phantom_verification.trainings import Framework

SHARE_BOUND: Final = 0.85  # of what the oracle has above chance
CHANCE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Patients with a lesion and a malignant score of each."""

    patients: Sequence[LabelledPatient]
    scores: Scores

    def by_patient(self) -> dict[str, float]:
        return {patient.patient_id: score for patient, score in zip(self.patients, self.scores, strict=True)}


def against_oracle(scale: Scale, whole: Framework, cohort: Cohort) -> list[Finding]:
    """Item (b)."""
    image, oracle, patients = _image_and_oracle(scale, whole, whole.held_out, cohort)
    model, best = patients.area(image), patients.area(oracle)
    above, share = patients.difference(image, oracle), patients.share(image, oracle)
    beside = f"{len(image)} patients; image AUC {model}, oracle {best}"
    return [
        from_estimate(
            Item.ORACLE,
            "image AUC (no age) at difficulty 1 less that of the oracle on the same patients",
            above,
            "not above 0",
            holds=above.low <= 0.0,
        ),
        from_estimate(
            Item.ORACLE,
            "(image AUC - .5) / (oracle - .5)",
            share,
            f">= {SHARE_BOUND}",
            holds=share.value >= SHARE_BOUND,
            beside=beside,
        ),
    ]


def dose_response(scale: Scale, doses: Mapping[float, Scored]) -> list[Finding]:
    """Item (d), on the patients who are in the test of every difficulty; only their signs differ."""
    scores = {dose: scored.by_patient() for dose, scored in doses.items()}
    shared = [p for p in doses[PLAIN].patients if all(p.patient_id in known for known in scores.values())]
    patients = same(scale, shared)
    none, half, plain = ([scores[dose][p.patient_id] for p in shared] for dose in (NONE, HALF, PLAIN))
    areas = ", ".join(f"{dose:g}: {patients.area(s)}" for dose, s in ((NONE, none), (HALF, half), (PLAIN, plain)))
    low, high, whole = (patients.difference(more, less) for more, less in ((half, none), (plain, half), (plain, none)))
    gain = "gain of image AUC from difficulty"
    return [
        from_estimate(Item.DOSE, f"{gain} 0 to .5", low, "> 0", holds=low.value > 0.0),
        from_estimate(Item.DOSE, f"{gain} .5 to 1", high, "> 0", holds=high.value > 0.0),
        from_estimate(
            Item.DOSE,
            f"{gain} 0 to 1",
            whole,
            "interval above 0",
            holds=whole.low > 0.0,
            beside=f"{len(shared)} patients; AUC at {areas}",
        ),
    ]


def unseen(scale: Scale, whole: Framework, away: Cohort, look: Cohort) -> list[Finding]:
    """Item (h): told apart from the rest. A look that was never seen may be beyond a model: its bound is the oracle."""
    image, oracle, patients = _image_and_oracle(scale, whole, whole.away, away)
    share, hits = patients.share(image, oracle), hit_rate(whole.away, whole.fusion.tau)
    sites = from_estimate(
        Item.UNSEEN,
        "sites that were not trained on: (image AUC - .5) / (oracle - .5)",
        share,
        f">= {SHARE_BOUND}, planted lesion hit >= {HIT_BOUND}",
        holds=share.value >= SHARE_BOUND and hits.value >= HIT_BOUND,
        beside=f"{len(image)} patients; image AUC {patients.area(image)}, oracle {patients.area(oracle)}; hit {hits}",
    )
    image, oracle, patients = _image_and_oracle(scale, whole, whole.unseen_look, look)
    above = patients.difference(image, oracle)
    looks = from_estimate(
        Item.UNSEEN,
        "a look and its region, neither trained on (lobulated, sacral: chordoma or schwannoma): image AUC less oracle",
        above,
        "told apart; not above 0",
        holds=above.low <= 0.0,
        beside=f"{len(image)} patients; image AUC {patients.area(image)}, oracle {patients.area(oracle)}; "
        f"hit {hit_rate(whole.unseen_look, whole.fusion.tau)}",
    )
    return [sites, looks]


def image_scores(whole: Framework, classified: Sequence[ClassifiedPatient]) -> list[float]:
    """By the framework's own weights but for the age; 0 where nothing was detected, which counts as benign."""
    fusion = replace(whole.fusion, lambda_age=0.0)
    votes = [one.read(fusion).vote for one in classified]
    return [0.0 if vote is None else vote.mean for vote in votes]


def oracle_scores(truths: Sequence[PhantomTruth], *, with_age: bool = False) -> list[float]:
    return [oracle_probability(truth, with_age) for truth in truths]


def same(scale: Scale, patients: Sequence[LabelledPatient]) -> SamePatients:
    """Resampled alike for every reader of them."""
    return same_patients(is_malignant(patients), seed=scale.seed, resamples=scale.resamples)


def _image_and_oracle(
    scale: Scale, whole: Framework, classified: Sequence[ClassifiedPatient], cohort: Cohort
) -> tuple[list[float], list[float], SamePatients]:
    with_lesion = [one for one in classified if one.patient.verdict is not None]
    truths = [cohort.truth_of(one.patient) for one in with_lesion]
    return (
        image_scores(whole, with_lesion),
        oracle_scores(truths),
        same(scale, [one.patient for one in with_lesion]),
    )
