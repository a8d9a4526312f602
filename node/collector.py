"""Python's garbage collector in a process that has loaded networks and makes reports."""

import gc
from typing import Final

# A report takes some hundred thousand small objects, nearly all of which go by themselves: by default the collector
# would come by hundreds of times (a tenth of the time of a report, measured).
_YOUNG_OBJECTS: Final = 50_000


def settle() -> None:
    """What is loaded by now stays: the collector passes it by, which took .1 s each time, and comes less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 10, 10)
