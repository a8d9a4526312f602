"""`python -m bench`: run every benchmark, one after the other."""

from bench import inference, receiving

for benchmark in (receiving, inference):
    benchmark.main()
