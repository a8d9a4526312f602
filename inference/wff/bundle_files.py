"""The files of the demo bundle: weights, metadata and a filled model card."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from rich.table import Table

from inference.bundle import LICENSE, MODEL_CARD, WEIGHTS_SUFFIX, write_bundle
from inference.evaluation.metrics import Rate
from inference.findings import BundleIdentity
from inference.wff.config import FusionConfig, config_to_json
from inference.wff.measurement import HIT_IOU, Measured
from inference.wff.model import WffModel
from inference.wff.weights import CLASSIFIER, DETECTOR, save_weights

NAME = "wff-demo-phantom"
VERSION = "1.0.0"
HEADING = "synthetic phantom, no clinical meaning"

_LICENSE_TEXT = """Copyright the SpineNode authors

Licensed under the Apache License, Version 2.0. You may obtain a copy of the License at
http://www.apache.org/licenses/LICENSE-2.0

These weights were trained on synthetic images only. They are distributed on an "AS IS" basis, without warranties or
conditions of any kind, and are not for clinical use.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What the making of a bundle measured."""

    acceptance: Measured  # the first held-out patients with a lesion
    held_out: Measured  # all held-out patients
    oracle_right: list[bool]  # of the held-out patients with a lesion
    recipe: dict[str, object]
    split_sha256: str  # of the patient identifiers of all splits
    training_patients: int
    seconds: float  # wall time of this run; less than the whole when it went on from a checkpoint

    @property
    def oracle(self) -> Rate:
        return Rate(sum(self.oracle_right), len(self.oracle_right))

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of every number, for people."""
        a, h = self.acceptance, self.held_out
        low, high = h.area_interval
        rows = [
            (f"first {a.hit.total} held-out patients with a lesion: planted lesion hit", str(a.hit)),
            (f"first {a.hit.total} held-out patients with a lesion: decision right", str(a.decision.accuracy)),
            (f"all {h.hit.total} held-out patients with a lesion: planted lesion hit", str(h.hit)),
            (f"all {h.hit.total}: decision right", str(h.decision.accuracy)),
            ("sensitivity (malignant)", str(h.decision.sensitivity)),
            ("specificity", str(h.decision.specificity)),
            ("area under the ROC curve", f"{h.area:.3f} (95 % CI {low:.3f}-{high:.3f})"),
            ("patients with a lesion but no detection (counted as benign)", str(h.undetected)),
            ("Bayes oracle with age on the same patients: decision right", str(self.oracle)),
        ]
        if h.lesion_free:
            rows.append(("lesion-free patients with a false alarm", str(Rate(h.lesion_free_alarmed, h.lesion_free))))
            rows.append(("false boxes per lesion-free patient", f"{h.false_boxes_per_lesion_free:.2f}"))
        return rows

    def table(self) -> Table:
        table = Table(title=f"{NAME} {VERSION}: {HEADING}")
        table.add_column("measured on held-out phantom patients")
        table.add_column("value")
        for name, value in self.rows():
            table.add_row(name, value)
        return table


def write_demo_bundle(folder: Path, model: WffModel, made: Made) -> BundleIdentity:
    """Write all files of the bundle into `folder`, replacing what an earlier run left there."""
    folder.mkdir(parents=True, exist_ok=True)
    detector, classifier = model.nets
    save_weights(detector, folder / f"{DETECTOR}{WEIGHTS_SUFFIX}")
    save_weights(classifier, folder / f"{CLASSIFIER}{WEIGHTS_SUFFIX}")
    (folder / LICENSE).write_text(_LICENSE_TEXT)
    (folder / MODEL_CARD).write_text(_model_card(model, made))
    return write_bundle(folder, _metadata(model, made))


def _metadata(model: WffModel, made: Made) -> dict[str, object]:
    return {
        "pipeline": "wff",
        "name": NAME,
        "version": VERSION,
        "components": ["lesion detector", "sequence classifier", "age table", "weighted fusion"],
        "intended_use": "Demonstration and tests of the node. Not for clinical use.",
        "phantom_trained": True,
        "trained_on": f"{made.training_patients} synthetic phantom patients (no clinical meaning)",
        "validated_on": _validated_on(made),
        "config": config_to_json(model.config),
        "age_table": list(model.age_table.malignant),
        "measured": {"acceptance": _numbers(made.acceptance), "held_out": _numbers(made.held_out)}
        | {"oracle_decision": _rate(made.oracle), "hit_iou": HIT_IOU},
        "training": {**made.recipe, "split_sha256": made.split_sha256, "seconds": round(made.seconds)},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        },
    }


def _validated_on(made: Made) -> str:
    measured = made.held_out
    alarms = ""
    if measured.lesion_free:
        alarms = f"false alarm in {Rate(measured.lesion_free_alarmed, measured.lesion_free)} of lesion-free ones; "
    return (
        f"{measured.hit.total} held-out synthetic phantom patients with lesions: planted lesion hit in {measured.hit}, "
        f"benign/malignant decision right in {measured.decision.accuracy}; "
        f"{alarms}no clinical meaning"
    )


def _numbers(measured: Measured) -> dict[str, object]:
    return {
        "lesion_hit": _rate(measured.hit),
        "decision_right": _rate(measured.decision.accuracy),
        "sensitivity": _rate(measured.decision.sensitivity),
        "specificity": _rate(measured.decision.specificity),
        "area_under_roc": measured.area,
        "area_under_roc_interval": list(measured.area_interval),
        "undetected": measured.undetected,
        "lesion_free": measured.lesion_free,
        "lesion_free_alarmed": measured.lesion_free_alarmed,
        "false_boxes_per_lesion_free": measured.false_boxes_per_lesion_free,
    }


def _rate(rate: Rate) -> dict[str, object]:
    return {"hits": rate.hits, "total": rate.total, "value": rate.value, "wilson_95": list(rate.interval)}


def _model_card(model: WffModel, made: Made) -> str:
    fusion = model.config.fusion
    detector, classifier = (sum(p.numel() for p in net.parameters()) / 1e6 for net in model.nets)
    numbers = "\n".join(f"| {name} | {value} |" for name, value in made.rows())
    recipe = "\n".join(f"| {name} | {_cell(value)} |" for name, value in _flat(made.recipe).items())
    weaknesses = "\n".join(known_weaknesses(fusion, made.oracle))
    return f"""# {NAME} {VERSION}: {HEADING}

**Not for clinical use.** These weights have seen synthetic images only. What they say about a patient means nothing.

## What it is
The weighted fusion framework (Liu et al., Insights into Imaging 2022, 13:87) in a small size: a Faster R-CNN
({detector:.2f} M parameters, deformable ResNeXt, five scales) finds lesions on each sagittal slice, a 3-D ResNeXt
({classifier:.2f} M parameters) reads one clip per sequence, an age table adds the prior, and slices vote for their
sequence, sequences for the patient. The architecture of the paper is the same code with another configuration.

## What it is for
To show and to test the node from the received study to the delivered report. It must not be used to look for lesions.

## Measured: {HEADING}
A planted lesion counts as hit when a detection with score >= {fusion.tau:.2f} overlaps a planted box with IoU >=
{HIT_IOU}. A patient with a lesion but no detection counts as called benign. Intervals are Wilson 95 %, the one of the
area is a bootstrap by patient. The oracle sees every planted sign and the age; no model can be better on average.

| on held-out phantom patients | value |
|---|---|
{numbers}

## How it was made
Training, tuning (threshold, weights) and held-out patients are disjoint by patient (sha256 of the split
`{made.split_sha256[:16]}`). Threshold {fusion.tau:.2f}; weights of detector, sequence and age
{fusion.lambda_detector:.2f}, {fusion.lambda_sequence:.2f}, {fusion.lambda_age:.2f}.

| | |
|---|---|
| training patients | {made.training_patients} |
{recipe}
| torch, torchvision | {torch.__version__}, {torchvision.__version__} |

## Known weaknesses
{weaknesses}
"""


def known_weaknesses(fusion: FusionConfig, oracle: Rate) -> list[str]:
    """The lines of the model card that say what not to expect; `oracle` are the patients that it decides right."""
    errors = f"{oracle.total - oracle.hits} of {oracle.total} patients"
    lines = [
        "- Real images differ from the phantom in more than the phantom can say; detections on a real study are noise.",
        '- Seen: on a real lumbar study without a known tumour, the demo bundles made so far decided "malignant".',
        f"- The phantom's lesions are few families with plain signs; even the oracle errs on {errors}.",
        "- No external test, no comparison with readers.",
    ]
    if fusion.lambda_detector == 0.0:
        lines.append(
            "- The detector has weight 0: it finds lesions and cuts the clip, and its class counts for nothing. All "
            "images of a\n  sequence have the same probability, so they vote alike."
        )
    return lines


def _flat(recipe: Mapping[str, object]) -> dict[str, object]:
    return {name.replace("_", " "): value for name, value in recipe.items()}


def _cell(value: object) -> str:
    return f"`{value}`" if isinstance(value, str) and value.startswith("python") else str(value)
