import json
from collections.abc import Callable
from typing import Any

import pytest

from inference.errors import BundleError
from inference.wff.config import (
    WffConfig,
    config_from_json,
    config_to_json,
    demo_config,
    micro_config,
    paper_config,
)


@pytest.mark.parametrize("make", [paper_config, demo_config, micro_config])
def test_a_configuration_survives_json(make: Callable[[], WffConfig]) -> None:
    assert config_from_json(json.loads(json.dumps(config_to_json(make())))) == make()


def broken(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(config_to_json(micro_config())))
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d.pop("fusion"), "fusion"),
        (lambda d: d["detector"].pop("backbone"), "backbone"),
        (lambda d: d["sequence"].update(colour="red"), "colour"),
        (lambda d: d["detector"].update(image_size="large"), "image_size"),
        (lambda d: d["detector"]["backbone"].update(blocks=3), "blocks"),
        (lambda d: d["detector"]["backbone"].update(fen="none"), "fen"),
        (lambda d: d["detector"].update(image_size=0), "image_size is 0, expected at least 64"),
        (lambda d: d["sequence"].update(planes=["8"] * 4), "planes is '8', expected a number"),
        (lambda d: d["fusion"].update(calibration_slope=-1.0), "calibration slope"),
    ],
)
def test_a_wrong_configuration_is_refused_by_the_name_of_its_key(
    change: Callable[[dict[str, Any]], object], named: str
) -> None:
    with pytest.raises(BundleError, match=named):
        config_from_json(broken(change))


def test_a_bundle_of_before_the_calibration_is_read_as_not_calibrated() -> None:
    older = broken(lambda d: (d["fusion"].pop("calibration_slope"), d["fusion"].pop("calibration_intercept")))

    assert not config_from_json(older).fusion.is_calibrated
