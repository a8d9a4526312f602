"""The demo bundle on one phantom patient: slices of a sequence in batches, as the node runs them, beside one by one.

Both give the same boxes (a test holds that); the ratio and the share of each stage are printed.
"""

import statistics
import time

import numpy as np

from inference.bundle import DEMO_BUNDLE, open_bundle
from inference.phantom import PhantomConfig, generate_patient
from inference.wff.model import StageTimes
from inference.wff.phantom_data import windowed
from inference.wff.weights import load_model

ROUNDS = 5


def main() -> None:
    model = load_model(open_bundle(DEMO_BUNDLE))
    patient = generate_patient(0, seed=1, config=PhantomConfig())
    sequences = [windowed(series) for series in patient.series]
    model.warm_up()

    def one_by_one() -> None:
        for images in sequences:
            for k in range(len(images)):
                model.detect(np.ascontiguousarray(images[k : k + 1]))

    def batched() -> None:
        for images in sequences:
            model.detect(images)

    times: dict[str, list[float]] = {"in batches": [], "one by one": []}
    for _ in range(ROUNDS):
        for name, run in (("in batches", batched), ("one by one", one_by_one)):
            begin = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begin)
    slices = sum(len(images) for images in sequences)
    print(f"detector of the demo bundle, {len(sequences)} sequences, {slices} slices, {ROUNDS} rounds in turn")
    base = statistics.median(times["in batches"])
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"  {name:12} {1000 * median / slices:7.1f} ms/slice   {median / base:5.2f} x in batches")

    stages = StageTimes()
    model.analyse(sequences, patient.age_years, stages)
    whole = sum(stages.seconds.values())
    print("share of each stage: " + ", ".join(f"{name} {100 * s / whole:.0f} %" for name, s in stages.seconds.items()))
