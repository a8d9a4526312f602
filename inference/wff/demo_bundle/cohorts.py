"""Which phantom patients the demo bundle learns from, and which it has never seen, by scanner and by look.

The held-out scanners make the images that every number of the model card is of; scanners that were trained on and a
look that was not are told apart beside them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from inference.datasets import SpineRegion
from inference.findings import Verdict
from inference.phantom import PhantomConfig, oracle_probability
from inference.phantom.data_set import PhantomSet, patient_id
from inference.phantom.lesions.families import Look
from inference.phantom.scanner.sites import site_style

UNSEEN_SITES: Final = (9, 10, 11)
SEEN_SITES: Final = tuple(
    site for site in range(48) if site not in UNSEEN_SITES
)  # many, so that style is learned apart
UNSEEN_LOOK: Final = Look.LOBULATED  # chordoma, and its benign twin; sacral only
_KNOWN_LOOKS: Final = tuple(look for look in Look if look is not UNSEEN_LOOK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohorts:
    """Disjoint by patient. The first two make the data set of the training; the others are only measured on."""

    training: PhantomSet
    unseen_sites: PhantomSet
    seen_sites: PhantomSet
    unseen_look: PhantomSet

    @property
    def held_out_sites(self) -> tuple[str, ...]:
        """As the data set names them."""
        return tuple(site_style(number).name for number in self.unseen_sites.config.sites)


def demo_cohorts(*, training: int, measured: int, seed: int, config: PhantomConfig | None = None) -> Cohorts:
    """`training` patients to learn from, `measured` of the unseen scanners and half as many of each other kind.

    `config`: what is common to all; sites, regions and the share of lesion-free patients are set here.
    """
    base = config or PhantomConfig()
    half = measured // 2

    def patients(first: int, count: int, looks: tuple[Look, ...], **settings: Any) -> PhantomSet:
        return PhantomSet(first=first, count=count, seed=seed, config=replace(base, **settings), looks=looks)

    return Cohorts(
        training=patients(0, training, _KNOWN_LOOKS, sites=SEEN_SITES),
        unseen_sites=patients(training, measured, _KNOWN_LOOKS, sites=UNSEEN_SITES),
        seen_sites=patients(training + measured, half, _KNOWN_LOOKS, sites=SEEN_SITES),
        unseen_look=patients(
            training + measured + half,
            half,
            (UNSEEN_LOOK,),
            sites=SEEN_SITES,
            regions=(SpineRegion.SACRAL,),
            lesion_free_fraction=0.0,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Oracle:
    """The reader who sees every planted sign, and the age: nobody is better on average."""

    from_signs: dict[str, float]  # by PatientID: probability of malignancy; patients with a lesion only
    from_signs_and_age: dict[str, float]
    malignant: dict[str, bool]  # the truth


def ask_oracle(sets: Iterable[PhantomSet]) -> Oracle:
    truths = {
        patient_id(number): truth for one in sets for number, truth in one.truths().items() if truth.label is not None
    }
    return Oracle(
        from_signs={name: oracle_probability(truth, with_age=False) for name, truth in truths.items()},
        from_signs_and_age={name: oracle_probability(truth, with_age=True) for name, truth in truths.items()},
        malignant={name: truth.label is Verdict.MALIGNANT for name, truth in truths.items()},
    )
