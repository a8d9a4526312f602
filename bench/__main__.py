"""`python -m bench`: run every benchmark, one after the other; each has options of its own (`-m bench.receive -h`)."""

import argparse

from bench import inference, receive, send

argparse.ArgumentParser(prog="bench", description=__doc__).parse_args()
receive.main([])
send.main([])
inference.main([])
