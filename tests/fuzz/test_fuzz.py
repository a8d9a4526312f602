"""The short form of the fuzzers; the long one is `make fuzz`."""

from pathlib import Path

import pytest

from tests.fuzz.data_sets import DataSetFuzzer
from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import seeds
from tests.fuzz.streams import stream_fuzzer
from tests.fuzz.whole_messages import whole_data_sets

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # warnings of mutated data are meant

SEED = 20261102
DATA_SETS = 8_000
STREAMS = 800


def test_mutated_data_sets_are_taken_or_refused_and_nothing_else(tmp_path: Path) -> None:
    findings = DataSetFuzzer(tmp_path, seed=SEED).run(DATA_SETS)

    assert findings.failures == []
    # neither all refused nor all taken: the mutations reach what lies behind the first check
    assert DATA_SETS / 10 < findings.outcomes["taken"] < DATA_SETS * 9 / 10


def test_a_receiver_outlives_mutated_streams_and_keeps_nothing_that_was_not_sent_whole(tmp_path: Path) -> None:
    with stream_fuzzer(tmp_path, seed=SEED) as fuzzer:
        findings = fuzzer.run(STREAMS)

    assert findings.failures == []
    assert findings.outcomes["answered"] > STREAMS / 10


def test_unmutated_seeds_are_taken_in_every_transfer_syntax(tmp_path: Path) -> None:
    fuzzer = DataSetFuzzer(tmp_path, seed=SEED)
    synthetic = [seed for seed in seeds() if seed.sop_instance_uid.startswith("2.25.10")]

    outcomes = {seed.name: fuzzer.play(seed, seed.data_set) for seed in synthetic}

    assert len({seed.transfer_syntax_uid for seed in synthetic}) > 5
    assert set(outcomes.values()) == {"taken"}


def test_recorded_streams_hold_the_data_sets_that_the_senders_sent(tmp_path: Path) -> None:
    with stream_fuzzer(tmp_path, seed=SEED) as fuzzer:
        recorded = [whole_data_sets(stream) for stream in fuzzer.recorded]

    assert max(map(len, recorded)) == 3


def test_the_same_seed_gives_the_same_mutations() -> None:
    import random

    found = seeds()

    def some(seed: int) -> list[bytes]:
        rng = random.Random(seed)  # noqa: S311 - mutations, no secret
        return [mutated(rng.choice(found), found, rng) for _ in range(50)]

    assert some(1) == some(1)
    assert some(1) != some(2)
