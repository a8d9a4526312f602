"""A bundle of the smallest nets, untrained: enough to start a node, of no worth as a model."""

from dataclasses import asdict, replace
from pathlib import Path

from inference.bundle import LICENSE, MODEL_CARD, write_bundle
from inference.findings import BundleIdentity

SEED = 5
UNTRAINED_TAU = 0.06  # untrained nets give low scores


def write_micro_bundle(folder: Path, *, tau: float | None = None) -> BundleIdentity:
    """With `UNTRAINED_TAU` its slices vote, with that of the configuration hardly any."""
    import torch

    from inference.wff.age import REFERENCE_TABLE
    from inference.wff.config import config_to_json, micro_config
    from inference.wff.networks.detector import Detector
    from inference.wff.networks.sequence_classifier import SequenceClassifier
    from inference.wff.weights import CLASSIFIER, DETECTOR, save_weights

    folder.mkdir(parents=True)
    config = micro_config()
    if tau is not None:
        config = replace(config, fusion=replace(config.fusion, tau=tau))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        save_weights(Detector(config.detector), folder / f"{DETECTOR}.safetensors")
        save_weights(SequenceClassifier(config.sequence), folder / f"{CLASSIFIER}.safetensors")
    (folder / MODEL_CARD).write_text("Untrained.\n")
    (folder / LICENSE).write_text("Apache-2.0\n")
    identity = BundleIdentity(
        pipeline="wff",
        name="micro",
        version="0",
        sha256="",
        trained_on="nothing",
        validated_on="nothing",
        phantom_trained=True,
        components=("detector", "sequence classifier"),
    )
    metadata = {**asdict(identity), "config": config_to_json(config), "age_table": REFERENCE_TABLE}
    return write_bundle(folder, metadata)
