"""Item (j): is a patient read from memory, because nearly the same one was in the training?"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from inference.datasets import LabelledPatient, LabelledSeries
from inference.evaluation.intervals import Weights
from inference.evaluation.metrics import Rate
from inference.wff.config import SequenceConfig
from inference.wff.networks.clips import choose_clip
from inference.wff.phantom_verification.areas import same_patients
from inference.wff.phantom_verification.cohorts import is_malignant
from inference.wff.phantom_verification.findings import Finding, Item, contains, from_estimate, from_rate
from inference.wff.phantom_verification.scale import Scale
from inference.wff.phantom_verification.trainings import as_detections

COPIES_SHARE: Final = 0.10  # of those that are measured, in the positive control
_TOO_NEAR: Final = 0.01  # quantile of the training patients' distances among themselves
_MOST_TOO_NEAR: Final = 0.05  # of the measured; one in a hundred is as near by chance
_WIDEST_GAP: Final = 0.20  # upper end of the interval
_SMALL: Final = (2, 12, 12)  # slices, rows, columns of a clip that is compared: another pose shifts finer ones too far
_DECIDED: Final = 0.5
_PLANTED: Final = 1.0  # score of planted boxes
Pictures = NDArray[np.float32]  # (patients, numbers)
Distances = NDArray[np.float64]  # (patients,)


def copies_among(measured: int) -> int:
    """How many copies make `COPIES_SHARE` of all, together with so many that are none."""
    return max(1, round(measured * COPIES_SHARE / (1.0 - COPIES_SHARE)))


def memory(
    scale: Scale,
    config: SequenceConfig,
    *,
    training: Sequence[LabelledPatient],
    held_out: Sequence[LabelledPatient],
    scores: Sequence[float],
    copies: Sequence[LabelledPatient],
) -> list[Finding]:
    """`scores` are of the held-out patients, `copies` near-copies of training patients.

    Studies are compared by the grey values round the lesion.
    """
    known = _pictures(training, config)
    limit = float(np.quantile(_nearest(known, known, same=True), _TOO_NEAR))
    distances = _nearest(_pictures(held_out, config), known, same=False)
    planted = _nearest(_pictures(copies, config), known, same=False)
    return [*_too_near(distances, planted, limit), _near_and_far(scale, held_out, scores, distances)]


def _too_near(distances: Distances, planted: Distances, limit: float) -> list[Finding]:
    honest, mixed = (_rate(some, limit) for some in (distances, np.concatenate((distances, planted))))
    noticed = mixed.interval[0] > _MOST_TOO_NEAR
    nearer = f"nearer to a training study than all but {_TOO_NEAR:.0%} of the training studies are to another"
    return [
        from_rate(
            Item.MEMORY,
            f"held-out patients {nearer}",
            honest,
            f"interval up to {_MOST_TOO_NEAR:.2f} at most; positive control holds",
            holds=honest.interval[0] <= _MOST_TOO_NEAR,
            telling=noticed and honest.interval[1] <= _MOST_TOO_NEAR,
            beside=f"distances: limit {limit:.3f}, least {distances.min():.3f}, median {np.median(distances):.3f}",
        ),
        from_rate(
            Item.MEMORY,
            "positive control, the same with near-copies of training patients among them",
            mixed,
            f"interval above {_MOST_TOO_NEAR:.2f}",
            holds=noticed,
            beside=f"{len(planted)} copies, {_rate(planted, limit).hits} of them so near; "
            f"their median distance {np.median(planted):.3f}",
        ),
    ]


def _rate(distances: Distances, limit: float) -> Rate:
    return Rate(int((distances < limit).sum()), len(distances))


def _near_and_far(
    scale: Scale, patients: Sequence[LabelledPatient], scores: Sequence[float], distances: Distances
) -> Finding:
    near = distances <= np.median(distances)
    truth = is_malignant(patients)
    right = np.array([(one >= _DECIDED) is malignant for one, malignant in zip(scores, truth, strict=True)])
    whole = same_patients(truth, seed=scale.seed, resamples=scale.resamples)

    def difference(weights: Weights) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):  # a resample may draw nobody of a half
            near_rate, far_rate = ((weights @ (right & half)) / (weights @ half) for half in (near, ~near))
        return np.asarray(near_rate - far_rate)

    gap = whole.resampling.estimate(difference)
    return from_estimate(
        Item.MEMORY,
        "right decisions in the half of held-out patients nearer to the training, less those in the farther half",
        gap,
        f"interval contains 0 and ends at {_WIDEST_GAP:.2f} at most",
        holds=contains(gap, 0.0),
        telling=gap.high <= _WIDEST_GAP,
        beside=f"{len(patients)} patients",
    )


def _pictures(patients: Sequence[LabelledPatient], config: SequenceConfig) -> Pictures:
    return np.stack([np.concatenate([_picture(series, config) for series in p.series]) for p in patients])


def _picture(series: LabelledSeries, config: SequenceConfig) -> Pictures:
    """A small copy of the clip, or nothing but zeros where the series shows no lesion."""
    clip = choose_clip(series.images(), as_detections(series), _PLANTED, config)
    values = torch.zeros(_SMALL) if clip is None else functional.adaptive_avg_pool3d(clip.values[None, None], _SMALL)
    picture: Pictures = values.reshape(-1).numpy()
    return picture


def _nearest(pictures: Pictures, known: Pictures, *, same: bool) -> Distances:
    """Root mean square difference to the nearest known study; of the same studies, to the nearest other one."""
    a, b = torch.from_numpy(pictures), torch.from_numpy(known)
    distances = torch.cdist(a, b) / np.sqrt(pictures.shape[1])
    if same:
        distances.fill_diagonal_(float("inf"))
    nearest: Distances = distances.min(dim=1).values.double().numpy()
    return nearest
