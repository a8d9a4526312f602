"""What is asked of the demo bundle, and whether it is met, on scanners that no training has seen."""

from dataclasses import dataclass
from typing import Final

from inference.evaluation.intervals import Estimate
from inference.evaluation.results import Evaluation
from inference.findings import Findings, Status, Verdict
from inference.wff.evaluation.hits import Measured

_LEAST_HIT: Final = 0.9  # of patients with a lesion
_MOST_FALSE_BOXES: Final = 1.0  # per lesion-free patient
_LEAST_SHARE: Final = 0.85  # of what the oracle's area has above one half


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One line of the acceptance."""

    asked: str
    measured: str
    met: bool

    @property
    def row(self) -> tuple[str, str]:
        return f"asked of the demo bundle: {self.asked}", f"{'met' if self.met else 'NOT met'}: {self.measured}"


def acceptance(
    unseen: Measured, evaluation: Evaluation, *, images: Estimate, oracle_area: float, real_study: Findings | None
) -> list[Asked]:
    """`images` is the area of the strategy without the age, `oracle_area` that of the reader of all planted signs.

    Without a real study, nothing is said of it.
    """
    area = {row.name: row.performance.area for row in evaluation.strategy_rows()}
    false_boxes = unseen.false_boxes_per_lesion_free
    wanted = 0.5 + _LEAST_SHARE * (oracle_area - 0.5)
    lines = [
        Asked(
            asked=f"planted lesion hit in at least {100 * _LEAST_HIT:.0f} % of patients",
            measured=str(unseen.hit),
            met=unseen.hit.hits >= _LEAST_HIT * unseen.hit.total,
        ),
        Asked(
            asked=f"at most {_MOST_FALSE_BOXES:.0f} false box per lesion-free patient",
            measured="no such patient" if false_boxes is None else f"{false_boxes:.2f}",
            met=false_boxes is not None and false_boxes <= _MOST_FALSE_BOXES,
        ),
        Asked(
            asked=f"AUC of the images at least .5 + {_LEAST_SHARE} x (oracle - .5) = {wanted:.3f}",
            measured=f"{images}; of {evaluation.decided_by}, which decides, {area[evaluation.decided_by].value:.3f}",
            met=images.value >= wanted,
        ),
        Asked(
            asked="AUC of Det-Seq-Age not below that of Det",
            measured=f"{area['Det-Seq-Age'].value:.3f}, {area['Det'].value:.3f}",
            met=area["Det-Seq-Age"].value >= area["Det"].value,
        ),
    ]
    if real_study is not None:
        decision = real_study.decision
        lines.append(
            Asked(
                asked="a real study without a known tumour is not called malignant",
                measured=real_study.status
                if decision is None
                else f"{decision.verdict}{', after a tie of the sequences' if decision.tie else ''}",
                met=real_study.status is not Status.NOT_ANALYSED
                and (decision is None or decision.verdict is not Verdict.MALIGNANT),
            )
        )
    return lines
