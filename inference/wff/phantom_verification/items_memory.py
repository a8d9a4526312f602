"""Item (j): is a patient read from memory, because nearly the same one was in the training?"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from inference.datasets import LabelledPatient, LabelledSeries
from inference.evaluation.intervals import Estimate, Weights
from inference.wff.config import SequenceConfig
from inference.wff.networks.clips import choose_clip
from inference.wff.phantom_verification.areas import same_patients
from inference.wff.phantom_verification.cohorts import is_malignant
from inference.wff.phantom_verification.findings import Finding, Item, contains, from_estimate
from inference.wff.phantom_verification.scale import Scale
from inference.wff.phantom_verification.trainings import as_detections

_SMALL: Final = (4, 16, 16)  # slices, rows, columns of a clip that is compared
_DECIDED: Final = 0.5
_PLANTED: Final = 1.0  # score of planted boxes
Pictures = NDArray[np.float32]  # (patients, numbers)


def memory(
    scale: Scale,
    config: SequenceConfig,
    training: Sequence[LabelledPatient],
    held_out: Sequence[LabelledPatient],
    scores: Sequence[float],
) -> list[Finding]:
    """`scores` are of the held-out patients. Studies are compared by the grey values round the lesion."""
    known, new = _pictures(training, config), _pictures(held_out, config)
    among = _nearest(known, known, same=True)
    distances = _nearest(new, known, same=False)
    return [_ratio(scale, distances, among), _near_and_far(scale, held_out, scores, distances)]


def _ratio(scale: Scale, distances: NDArray[np.float64], among: NDArray[np.float64]) -> Finding:
    rng = np.random.default_rng(scale.seed)
    medians = [
        np.median(values[rng.integers(len(values), size=(scale.resamples, len(values)))], axis=1)
        for values in (distances, among)
    ]
    low, high = np.percentile(medians[0] / medians[1], (2.5, 97.5))
    ratio = Estimate(float(np.median(distances) / np.median(among)), float(low), float(high))
    return from_estimate(
        Item.MEMORY,
        "distance of held-out patients to the nearest training study, over that of training patients among themselves",
        ratio,
        "not below 1",
        holds=ratio.high >= 1.0,
        beside=f"medians; the nearest of all: held-out {distances.min():.3f}, training {among.min():.3f}",
    )


def _near_and_far(
    scale: Scale, patients: Sequence[LabelledPatient], scores: Sequence[float], distances: NDArray[np.float64]
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
        "interval contains 0",
        holds=contains(gap, 0.0),
    )


def _pictures(patients: Sequence[LabelledPatient], config: SequenceConfig) -> Pictures:
    return np.stack([np.concatenate([_picture(series, config) for series in p.series]) for p in patients])


def _picture(series: LabelledSeries, config: SequenceConfig) -> Pictures:
    """A small copy of the clip, or nothing but zeros where the series shows no lesion."""
    clip = choose_clip(series.images(), as_detections(series), _PLANTED, config)
    values = torch.zeros(_SMALL) if clip is None else functional.adaptive_avg_pool3d(clip.values[None, None], _SMALL)
    picture: Pictures = values.reshape(-1).numpy()
    return picture


def _nearest(pictures: Pictures, known: Pictures, *, same: bool) -> NDArray[np.float64]:
    """Root mean square difference to the nearest known study; of the same studies, to the nearest other one."""
    a, b = torch.from_numpy(pictures), torch.from_numpy(known)
    distances = torch.cdist(a, b) / np.sqrt(pictures.shape[1])
    if same:
        distances.fill_diagonal_(float("inf"))
    nearest: NDArray[np.float64] = distances.min(dim=1).values.double().numpy()
    return nearest
