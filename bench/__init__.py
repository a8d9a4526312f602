"""Benchmarks: each prints ratios measured side by side in one run, never a bare time."""

import os

# Threads that wait for each other by spinning slow a busy machine tenfold, and what is compared with us most of all.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded
