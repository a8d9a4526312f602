"""Where the networks run. The worker knows this interface only; truth about cases stays in the database."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from config.settings import WorkerSettings
from inference.case import Case
from inference.findings import BundleIdentity, Findings
from inference.runtime import Device, Runtime

if TYPE_CHECKING:
    from inference.pipeline import Pipeline


class Engine(Protocol):
    """Runs a pipeline on cases. Holds no state that a restart would miss."""

    @property
    def identity(self) -> BundleIdentity:
        """Which weights speak; known before the first case."""
        ...

    def run(self, case: Case) -> Findings:
        """A case that can never be analysed gives findings that say so. Any error raised may pass with a retry."""
        ...


class LocalEngine:
    """The pipeline in this process, with its networks loaded when the engine is made.

    Raises BundleError when the bundle is damaged, incomplete or of another pipeline.
    """

    def __init__(self, bundle: Path | None, runtime: Runtime) -> None:
        from inference.pipeline import load_pipeline  # torch: only the process that runs cases pays for it

        self._pipeline: Pipeline = load_pipeline(bundle, runtime=runtime)

    @property
    def identity(self) -> BundleIdentity:
        return self._pipeline.identity

    def run(self, case: Case) -> Findings:
        return self._pipeline.run(case)


def runtime_of(worker: WorkerSettings) -> Runtime:
    """Where and how a site lets its networks run."""
    return Runtime(
        device=Device(worker.device),
        threads=worker.threads,
        image_size=worker.image_size,
        proposals=worker.proposals,
    )
