"""What each kind of sequence shows of the planted signs, by the phantom's own signal equations and its sites' timings.

Two signs are signs of signal: dark on T1, bright with fat suppression. They show as the contrast of the lesion to the
marrow, on one kind plainly and on another less, or not at all. The other signs are shapes and textures, which every
kind shows. So each kind has an oracle of its own: it sees those seven signs and the contrast on this kind, and knows
how probable such a contrast is with either verdict.
"""

from collections.abc import Sequence as Several
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from inference.evaluation.metrics import area_under_roc
from inference.findings import SequenceKind
from inference.phantom import PhantomConfig
from inference.phantom.law import Sign, sign_log_odds, sign_rates
from inference.phantom.scanner.sites import draw_sequences, site_style
from inference.phantom.subject import Subject, draw_subject
from inference.phantom.tissue import Sequence, Tissue, marrow, signal

SIGNAL_SIGNS: Final = (Sign.T1_DARK, Sign.FS_BRIGHT)
_PLAIN: Final = 1.0  # difficulty at which the signs are as tabled
_LESIONS: Final = 240  # drawn to learn how contrasts vary among patients of the same signs
_SEED: Final = 1  # of those
_FLOOR: Final = 0.01  # of the signal of water: about the noise, below which nothing is told apart
_RESOLUTION: Final = 0.06  # of the logarithm of a contrast: what texture and noise leave of it
_COLUMNS: Final = tuple(list(Sign).index(sign) for sign in SIGNAL_SIGNS)
Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShownLesion:
    """What an ideal reader could see of a patient's lesion."""

    signs: NDArray[np.bool_]  # (9,), in the order of `Sign`
    site: int
    tissue: Tissue  # of the lesion
    bone: Tissue  # marrow of the vertebra that it lies in

    def contrast(self, kind: SequenceKind, site: int) -> float:
        """Logarithm of the lesion's signal over the marrow's, by the timings of a site."""
        sequence = _sequence(kind, site)
        lesion, bone = (abs(sum(signal(tissue, sequence))) + _FLOOR for tissue in (self.tissue, self.bone))
        return float(np.log(lesion / bone))


def shown_lesion(subject: Subject) -> ShownLesion:
    """Of a patient with a lesion: the first one, which has all signs."""
    lesion = subject.scene.lesions[0]
    return ShownLesion(
        signs=np.array([subject.truth.signs[sign] for sign in Sign]),
        site=subject.site.number,
        tissue=lesion.tissue,
        bone=marrow(subject.scene.marrow_fat[lesion.vertebra.level]),
    )


class Visibility:
    """Of the two signs of signal, learned from lesions that are drawn and not painted."""

    @cached_property
    def _drawn(self) -> list[ShownLesion]:
        config = PhantomConfig(lesion_free_fraction=0.0, difficulty=_PLAIN)
        return [shown_lesion(draw_subject(number, seed=_SEED, config=config)) for number in range(_LESIONS)]

    @cached_property
    def _states(self) -> NDArray[np.intp]:
        """(lesions,) 0..3: two times dark on T1, plus bright with fat suppression."""
        return _states([one.signs for one in self._drawn])

    def of(self, sign: Sign, kind: SequenceKind, sites: Several[int]) -> float:
        """0: the contrast says nothing of the sign, 1: it tells it whatever the other sign is; the mean over sites."""
        return float(np.mean([self._at_site(sign, kind, site) for site in sites]))

    def log_odds(self, lesions: Several[ShownLesion], kind: SequenceKind) -> Numbers:
        """(n,) log-odds of malignancy of the oracle that sees this kind alone, up to what all have in common."""
        signs = np.array([one.signs for one in lesions])
        shapes = sign_log_odds(signs, difficulty=_PLAIN) - _log_ratios(signs)[:, list(_COLUMNS)].sum(axis=1)
        likelihoods = np.array([self._log_likelihoods(one, kind) for one in lesions])  # (n, 4)
        malignant, benign = (logsumexp(likelihoods + np.log(shares), axis=1) for shares in _shares())
        log_odds: Numbers = shapes + malignant - benign
        return log_odds

    def _contrasts(self, kind: SequenceKind, site: int) -> Numbers:
        """(lesions,) of all that were drawn, had they been scanned there."""
        known = self._kept.get((kind, site))
        if known is None:
            known = self._kept[kind, site] = np.array([one.contrast(kind, site) for one in self._drawn])
        return known

    @cached_property
    def _kept(self) -> dict[tuple[SequenceKind, int], Numbers]:
        return {}

    def _at_site(self, sign: Sign, kind: SequenceKind, site: int) -> float:
        present, other = self._states // 2 == 1, self._states % 2 == 1
        if sign is Sign.FS_BRIGHT:
            present, other = other, present
        contrasts = self._contrasts(kind, site)
        areas = [area_under_roc(contrasts[among].tolist(), present[among].tolist()) for among in (other, ~other)]
        return float(np.mean([abs(2.0 * area - 1.0) for area in areas]))

    def _log_likelihoods(self, lesion: ShownLesion, kind: SequenceKind) -> Numbers:
        """(4,) of its contrast in each state of the two signs: a kernel density of the lesions of that state."""
        contrasts, own = self._contrasts(kind, lesion.site), lesion.contrast(kind, lesion.site)
        kernels = -0.5 * ((own - contrasts) / _RESOLUTION) ** 2
        of_states = [kernels[self._states == state] for state in range(4)]
        return np.array([logsumexp(kernel) - np.log(len(kernel)) for kernel in of_states])


@cache
def _sequence(kind: SequenceKind, site: int) -> Sequence:
    """As the site usually times it."""
    return next(one for one in draw_sequences(np.random.default_rng(site), site_style(site)) if one.kind is kind)


def _states(signs: Several[NDArray[np.bool_]]) -> NDArray[np.intp]:
    dark, bright = (np.array([one[column] for one in signs], dtype=np.intp) for column in _COLUMNS)
    return 2 * dark + bright


def _shares() -> tuple[Numbers, Numbers]:
    """(4,) of the states among the malignant, and among the benign."""
    dark, bright = (sign_rates(_PLAIN)[column] for column in _COLUMNS)  # each: of malignant, of benign
    malignant, benign = (
        np.array([d * b for d in (1.0 - dark[of], dark[of]) for b in (1.0 - bright[of], bright[of])]) for of in (0, 1)
    )
    return malignant, benign


def _log_ratios(signs: NDArray[np.bool_]) -> Numbers:
    """(n, 9) what each sign adds to the log-odds."""
    rates = sign_rates(_PLAIN)
    present, absent = np.log(rates[:, 0] / rates[:, 1]), np.log((1.0 - rates[:, 0]) / (1.0 - rates[:, 1]))
    ratios: Numbers = np.where(signs, present, absent)
    return ratios
