"""Who a run trains on and who it holds out, as its settings say."""

from collections.abc import Sequence
from pathlib import Path

from inference.datasets import LabelledPatient
from inference.splits import Splits, draw_splits, read_splits, split_by_site
from inference.wff.training.settings import CrossValidation


def splits_for(
    patients: Sequence[LabelledPatient], settings: CrossValidation, *, seed: int, data_sha256: str
) -> Splits:
    """From the split file of the settings or, without one, drawn. Raises SettingsError."""
    if settings.split_file:
        return read_splits(Path(settings.split_file), patients, data_sha256=data_sha256)
    if settings.held_out_sites:
        return split_by_site(patients, folds=settings.folds, held_out_sites=settings.held_out_sites, seed=seed)
    return draw_splits(patients, folds=settings.folds, held_out=settings.held_out, seed=seed)
