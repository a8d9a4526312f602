"""Log set-up: one event name per fact, JSON lines when nobody watches, and never a patient's identity.

Everything goes to stderr, so that stdout belongs to the answers of commands. Foreign libraries may put values of a
data set into their warnings and error messages; such texts are withheld, their place in the code is kept.
"""

import logging
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

IDENTIFYING_KEYS: Final = frozenset(
    {
        "accession_number",
        "birth_date",
        "issuer_of_patient_id",
        "patient_birth_date",
        "patient_id",
        "patient_name",
        "patient_sex",
        "referring_physician",
    }
)
WITHHELD: Final = "[withheld]"
# Libraries whose messages quote values of a data set.
_QUOTING_PACKAGES: Final = ("pydicom", "highdicom", "pynetdicom")
_OUR_ROOMS: Final = tuple(Path(__file__).parents[1] / room for room in ("config", "inference", "node", "storage"))
# INFO of these is noise (one line per job run, per connection, per SQL statement).
_LIBRARIES_AT_WARNING: Final = ("apscheduler", "sqlalchemy", "alembic", "highdicom", "pynetdicom", "PIL")


def configure_logging(*, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (none: stderr): JSON unless it is a terminal."""
    out = stream or sys.stderr
    renderer: Processor
    if out.isatty():
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        withhold_identity,
        format_exception_without_values,
    ]
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _withhold_quoting_library],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _LIBRARIES_AT_WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a second call, with another stream, must reach loggers already made
    )
    warnings.showwarning = _log_warning


def withhold_identity(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A net below the rule that no identifying field is logged: its value is replaced."""
    for key in IDENTIFYING_KEYS & event.keys():
        event[key] = WITHHELD
    return event


def format_exception_without_values(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Turn exc_info into the text field `exception`; see `traceback_without_values`."""
    info = event.pop("exc_info", None)
    error: BaseException | None = None
    if isinstance(info, BaseException):
        error = info
    elif isinstance(info, tuple):
        error = info[1]
    elif info:
        error = sys.exc_info()[1]
    if error is not None:
        event["exception"] = traceback_without_values(error)
    return event


def traceback_without_values(error: BaseException) -> str:
    """A traceback in which messages that may quote a data set are withheld; source lines are left out too."""
    blocks = []
    for one in _chain(error):
        frames = [
            f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(one.__traceback__)
        ]
        blocks.append("\n".join([*frames, describe_error(one)]))
    return "\nthe direct cause of or while handling:\n".join(blocks)


def describe_error(error: BaseException) -> str:
    """One line about an error that may be stored and shown: type and message, without values of a data set."""
    name = type(error).__name__
    if _raised_inside(error.__traceback__, _QUOTING_PACKAGES):
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"{name} in {Path(frame.filename).name}:{frame.lineno} (message withheld: it may quote the data set)"
    return f"{name}: {error}"


def _chain(error: BaseException) -> list[BaseException]:
    """The error's causes, first one first."""
    chain: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in chain:
        chain.insert(0, one)
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
    return chain


def _raised_inside(trace: TracebackType | None, packages: Sequence[str]) -> bool:
    """Whether the error came out of one of the packages, called last from our own code."""
    for frame in reversed(traceback.extract_tb(trace)):
        file = Path(frame.filename)
        if any(file.is_relative_to(room) for room in _OUR_ROOMS):
            return False
        if any(package in file.parts for package in packages):
            return True
    return False


def _withhold_quoting_library(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    record = cast("logging.LogRecord", event["_record"])
    if record.name.split(".")[0] in _QUOTING_PACKAGES:
        event["event"] = "library_message"
        event["text"] = f"{WITHHELD} {Path(record.pathname).name}:{record.lineno}"
    return event


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Replaces warnings.showwarning: the place of the warning, not its text (pydicom quotes values in it)."""
    structlog.get_logger("warnings").warning("python_warning", category=category.__name__, file=filename, line=lineno)
