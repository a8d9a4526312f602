"""The registry of pipelines: which code runs which bundle. Imports no torch until a pipeline is loaded."""

from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

from inference.bundle import DEMO_BUNDLE, Bundle, open_bundle
from inference.case import Case
from inference.errors import BundleError
from inference.findings import BundleIdentity, Findings
from inference.runtime import ChangedSize, Device, Runtime

# name in metadata.json -> module with `load(bundle, runtime)`, and one with `changed_sizes_of(metadata, runtime)`
_MODULES: Final = {"wff": "inference.wff.pipeline"}
_SIZES: Final = {"wff": "inference.wff.as_run"}


class Pipeline(Protocol):
    """Turns a case into findings. One object serves many cases, one at a time."""

    @property
    def identity(self) -> BundleIdentity: ...

    def run(self, case: Case) -> Findings:
        """Analyse one case. What cannot be read is named in the findings; what a retry may mend raises.

        Raises
        ------
        OSError
            a file of the case cannot be read.
        """
        ...


def bundle_identity(bundle: Path | None) -> BundleIdentity:
    """Who would speak: read from the files of the bundle (None: the demo bundle), without loading a network.

    Raises BundleError naming the file that is missing or damaged.
    """
    return open_bundle(bundle or DEMO_BUNDLE).identity


def changed_sizes(bundle: Bundle, runtime: Runtime) -> tuple[ChangedSize, ...]:
    """What a site would run otherwise than the bundle says, without loading a network.

    Raises BundleError when the metadata cannot be used.
    """
    module = _SIZES.get(bundle.identity.pipeline)
    return (
        ()
        if module is None
        else cast(tuple[ChangedSize, ...], import_module(module).changed_sizes_of(bundle.metadata, runtime))
    )


def load_pipeline(
    bundle: Path | None = None, *, device: str = "auto", threads: int | None = None, runtime: Runtime | None = None
) -> Pipeline:
    """Load the networks of a bundle (None: the demo bundle) and run them once on an empty image.

    `device` is "auto" (a GPU when there is one), "cpu" or "cuda"; `threads` of the networks on the CPU, None: all.
    `runtime` says both and more, and goes before them.
    Raises BundleError when the bundle is damaged or no pipeline of this release can run it.
    """
    runtime = runtime or Runtime(device=Device(device), threads=threads)
    opened = open_bundle(bundle or DEMO_BUNDLE)
    module = _MODULES.get(opened.identity.pipeline)
    if module is None:
        raise BundleError(
            f"{opened.folder} is for the pipeline {opened.identity.pipeline!r}; this release has {sorted(_MODULES)}"
        )
    return cast(Pipeline, import_module(module).load(opened, runtime))
