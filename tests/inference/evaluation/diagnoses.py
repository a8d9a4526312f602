"""Diagnoses made from counts or scores, for tests."""

from collections.abc import Sequence

from inference.evaluation.diagnosis import Diagnosis


def diagnosis(name: str, *, malignant: bool, said: bool | None = None, probability: float | None = None) -> Diagnosis:
    """`said` follows from the probability unless it is given; neither: nothing was detected."""
    if probability is None and said is not None:
        probability = 0.8 if said else 0.2
    return Diagnosis(
        patient_id=name,
        is_malignant=malignant,
        said_malignant=bool(probability is not None and probability >= 0.5) if said is None else said,
        probability=probability,
        vote_fraction=None if probability is None else float(probability >= 0.5),
    )


def diagnoses_of_counts(counts: Sequence[int]) -> list[Diagnosis]:
    """From true malignant, missed malignant, true benign, false malignant."""
    kinds = ((True, True), (True, False), (False, False), (False, True))
    pairs = [kind for kind, count in zip(kinds, counts, strict=True) for _ in range(count)]
    return [diagnosis(f"P{n}", malignant=malignant, said=said) for n, (malignant, said) in enumerate(pairs)]
