"""The configuration of a bundle with what a site runs otherwise. Imports no torch."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inference.runtime import ChangedSize, Runtime
from inference.wff.config import WffConfig, config_from_json


def as_run(config: WffConfig, runtime: Runtime) -> WffConfig:
    before, after = config.detector.rpn_test_proposals
    detector = replace(
        config.detector,
        image_size=runtime.image_size or config.detector.image_size,
        rpn_test_proposals=(before, runtime.proposals or after),
    )
    return replace(config, detector=detector)


def changed_sizes(config: WffConfig, runtime: Runtime) -> tuple[ChangedSize, ...]:
    """Those that differ from the bundle's own."""
    own, run = config.detector, as_run(config, runtime).detector
    sizes = (
        ChangedSize("image_size", own.image_size, run.image_size),
        ChangedSize("proposals", own.rpn_test_proposals[1], run.rpn_test_proposals[1]),
    )
    return tuple(one for one in sizes if one.as_run != one.of_bundle)


def changed_sizes_of(metadata: Mapping[str, Any], runtime: Runtime) -> tuple[ChangedSize, ...]:
    """Of a bundle's metadata; called by `inference.pipeline`. Raises BundleError where they hold no configuration."""
    return changed_sizes(config_from_json(metadata.get("config", {})), runtime)
