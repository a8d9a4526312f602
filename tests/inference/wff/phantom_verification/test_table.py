import json

from inference.evaluation.intervals import Estimate
from inference.evaluation.metrics import Rate
from inference.wff.phantom_verification.findings import Finding, Item, from_estimate, from_rate, without_interval
from inference.wff.phantom_verification.table import as_json, markdown


def finding(item: Item = Item.NO_SIGNS, *, holds: bool = True, value: float = 0.52) -> Finding:
    return from_estimate(item, "control", Estimate(value, 0.41, 0.63), "interval contains .5", holds=holds)


def test_the_table_is_headed_as_what_it_is_and_has_a_row_per_finding() -> None:
    text = markdown([finding(), finding(Item.DOSE)], about="Trained on nobody.")

    assert text.splitlines()[0] == "**synthetic phantom, no clinical meaning**"
    assert "| c | control | 0.520 (0.410 to 0.630) | interval contains .5 | holds |" in text
    assert text.count("| holds |") == 2
    assert text.endswith("All 2 items hold.\n")


def test_an_item_holds_when_all_of_its_findings_do() -> None:
    text = markdown([finding(), finding(holds=False), finding(Item.DOSE)], about="")

    assert "**does not hold**" in text
    assert text.endswith("1 of 2 items hold. Not: c.\n")


def test_what_nobody_can_tell_counts_as_not_held_and_is_named_apart() -> None:
    estimate = Estimate(0.5, 0.2, 0.8)
    unsure = from_estimate(Item.NO_SIGNS, "control", estimate, "<= .65", holds=True, telling=False)
    seen = from_estimate(Item.ORACLE, "control", estimate, "<= .65", holds=False, telling=False)

    text = markdown([unsure, seen, finding(Item.ORACLE), finding(Item.DOSE)], about="")
    content = as_json([unsure], about="", recipe={})

    assert "| c | control | 0.500 (0.200 to 0.800) | <= .65 | **cannot tell** |" in text
    assert text.endswith("1 of 3 items hold. Not: b. Cannot tell: c.\n")
    assert not unsure.holds
    assert content["holds"] is False
    assert content["findings"][0]["holds"] is False
    assert content["findings"][0]["verdict"] == "cannot tell"


def test_a_number_without_interval_says_that_there_is_none() -> None:
    text = markdown([without_interval(Item.PIPELINE, "worst corner, pixels", 0.25, "< 1", holds=True)], about="")

    assert "| a | worst corner, pixels | 0.250 (no interval) | < 1 | holds |" in text


def test_a_rate_has_its_counts_and_its_wilson_interval_beside_it() -> None:
    text = markdown([from_rate(Item.UNSEEN, "hit", Rate(9, 10), ">= .9", holds=True)], about="")

    assert "| h | hit (9 of 10) | 0.900 (0.596 to 0.982) | >= .9 | holds |" in text


def test_the_file_for_programs_says_the_same_and_is_json_also_where_a_number_cannot_be_told() -> None:
    content = as_json([finding(value=float("nan"), holds=False)], about="", recipe={"seed": 1})

    read = json.loads(json.dumps(content, allow_nan=False))
    assert read["heading"] == "synthetic phantom, no clinical meaning"
    assert read["holds"] is False
    assert read["findings"][0]["item"] == "c"
    assert read["findings"][0]["value"] is None
    assert read["findings"][0]["verdict"] == "does not hold"
