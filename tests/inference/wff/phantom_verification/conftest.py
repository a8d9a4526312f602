from collections.abc import Callable, Iterable, Iterator

import pytest

import inference.phantom.data_set


class _ThisProcess:
    """A pool of no processes: starting them takes longer than the painting of a few small patients."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> "_ThisProcess":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, work: Callable[..., object], items: Iterable[object], chunksize: int = 1) -> Iterator[object]:
        return map(work, items)


@pytest.fixture(scope="module", autouse=True)
def painting_in_this_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(inference.phantom.data_set, "ProcessPoolExecutor", _ThisProcess)
        yield
