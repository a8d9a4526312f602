"""Reads the settings: one TOML file, then the environment over it; every fault is told at once."""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsError

from config.settings import (
    CONFIG_ENVIRONMENT_VARIABLE,
    DEFAULT_CONFIG_PATH,
    ENVIRONMENT_PREFIX,
    ConfigError,
    DestinationSettings,
    DicomWebDestinationSettings,
    Settings,
)

DEFAULT_FILE = Path(__file__).with_name("default.toml")  # the documented example that a site copies
_NESTED_DELIMITER = "__"
# Variables with our prefix that are no settings: of the command line, of the tests and of the compose file.
_OTHER_VARIABLES = frozenset(
    {CONFIG_ENVIRONMENT_VARIABLE, "SPINENODE_LOG_LEVEL", "SPINENODE_TEST_DATA", "SPINENODE_DATABASE_PASSWORD"}
)
_WITHHELD_KEYS = frozenset({"database_url", "token"})  # secrets, or values that may hold one: never told
_PATHS = frozenset({"data_dir", "bundle", "certificate", "private_key", "trusted"})
_KINDS: Final[dict[str, type[BaseModel]]] = {"dicom": DestinationSettings, "dicomweb": DicomWebDestinationSettings}
_KIND_STEP: Final = 2  # ("destinations", 0, "dicom", "host")
_ALIKE = 0.8  # of 1: all our variables share the prefix, so that any two are somewhat alike
_LONGEST_VALUE = 80  # characters of a wrong value that a message repeats


def find_config(path: Path | None, environment: Mapping[str, str] = os.environ) -> Path:
    """The settings file to read: `path`, else $SPINENODE_CONFIG, else spinenode.toml in this folder.

    Raises ConfigError when that file does not exist.
    """
    named = path or (Path(value) if (value := environment.get(CONFIG_ENVIRONMENT_VARIABLE)) else None)
    chosen = named or DEFAULT_CONFIG_PATH
    if chosen.is_file():
        return chosen
    if named is None:
        where = f"there is no {DEFAULT_CONFIG_PATH} in {Path.cwd()}"
    else:
        where = f"there is no settings file {chosen}"
    raise ConfigError(
        f"{where}: write one with `spinenode config init`, or name one with --config or ${CONFIG_ENVIRONMENT_VARIABLE}"
    )


def load_settings(path: Path | None = None) -> Settings:
    """Settings of the file (see `find_config`), overridden by SPINENODE_PART__KEY variables of the environment.

    Relative paths inside the file count from the file's folder, so that every command finds the same data wherever
    it is started. Raises ConfigError that lists all faults, one line each: key, value read, what is allowed.
    """
    file = find_config(path)
    content = _resolve_paths(_read_toml(file), file.absolute().parent)
    faults = _unknown_variables(os.environ)
    settings: Settings | None = None
    try:
        settings = _FileThenEnvironment(**content)
    except ValidationError as error:
        faults += [_describe(fault) for fault in error.errors()]
    except SettingsError as error:
        faults.append(f"environment: {error}: lists and tables are written as JSON")
    if settings is not None:
        faults += _callers_never_let_in(settings)
    if faults or settings is None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise ConfigError(f"{file}: {len(faults)} fault(s) in the settings\n{lines}")
    return settings


class _FileThenEnvironment(Settings):
    """Settings whose initial values (the file's) give way to the environment."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not a TOML file: {error}") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _resolve_paths(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    lists = [content.get("destinations"), content.get("callers")]
    tables = [content, *(table for one in lists if isinstance(one, list) for table in one)]
    for table in tables:
        for part in _parts_with_paths(table):
            for key in _PATHS & part.keys():
                if isinstance(part[key], str):
                    part[key] = str(folder / part[key])
    storage = content.setdefault("storage", {})
    if isinstance(storage, dict):
        storage.setdefault("data_dir", str(folder / Settings.model_fields["storage"].default.data_dir))
    return content


def _parts_with_paths(table: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(table, dict):
        return
    for name in ("storage", "worker", "receiver", "tls", "report_tls"):
        if isinstance(part := table.get(name), dict):
            yield part
            yield from _parts_with_paths({"tls": part.get("tls")})


def _unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Misspelt variables, which pydantic-settings would pass over in silence. The keys of a part it checks itself."""
    faults = []
    for variable in sorted(environment):
        name = variable.upper()
        if not name.startswith(ENVIRONMENT_PREFIX) or name in _OTHER_VARIABLES:
            continue
        part = name.removeprefix(ENVIRONMENT_PREFIX).split(_NESTED_DELIMITER)[0].lower()
        if part not in Settings.model_fields:
            faults.append(f"{variable}: there is no such variable{_meant_variable(name)}")
    return faults


def _meant_variable(name: str) -> str:
    known = [*sorted(_OTHER_VARIABLES), *_setting_variables()]
    alike = difflib.get_close_matches(name, known, n=1, cutoff=_ALIKE)
    ending = [one for one in known if one.endswith(_NESTED_DELIMITER + name.removeprefix(ENVIRONMENT_PREFIX))]
    if meant := [*ending, *alike]:
        return f"; did you mean {meant[0]}?"
    parts = ", ".join(part.upper() for part in Settings.model_fields)
    return f"; settings are {ENVIRONMENT_PREFIX}PART{_NESTED_DELIMITER}KEY, and the parts are {parts}"


def _setting_variables() -> list[str]:
    """Every variable that is a setting, e.g. SPINENODE_CALLERS (a list, as JSON) or SPINENODE_RECEIVER__PORT."""
    names = []
    for part, field in Settings.model_fields.items():
        names.append(f"{ENVIRONMENT_PREFIX}{part}")
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names += [f"{ENVIRONMENT_PREFIX}{part}{_NESTED_DELIMITER}{key}" for key in field.annotation.model_fields]
    return [name.upper() for name in names]


def _callers_never_let_in(settings: Settings) -> list[str]:
    """Routes that wait for a caller whom the receiver refuses: a typing error, and images that nobody analyses."""
    known = sorted({caller.ae_title for caller in settings.callers})
    return [
        f"route {route.name!r} names caller {title!r}, which no [[callers]] has; known: {known or 'none'}"
        for route in settings.routes
        for title in route.callers
        if title != "*" and title not in known
    ]


def _describe(fault: ErrorDetails) -> str:
    location = fault["loc"]
    message = fault["msg"].removeprefix("Value error, ")
    if not location:  # a fault between keys: the message names them
        return message
    # pydantic names the chosen kind of destination as a step of its own, which is none in the file
    key = ".".join(str(step) for index, step in enumerate(location) if index != _KIND_STEP or step not in _KINDS)
    if fault["type"] == "extra_forbidden":
        return f"{key}: there is no such setting{_did_you_mean(str(location[-1]), _part_at(location[:-1]))}"
    if fault["type"] == "missing":
        return f"{key}: nothing was read: a value is required"
    if location[-1] in _WITHHELD_KEYS:
        return f"{key}: read a value (not shown): {message}"
    value = repr(fault["input"])
    shown = value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}..."
    return f"{key}: read {shown}: {message}"


def _part_at(location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The class of the part that holds a key, e.g. ("callers", 0) -> CallerSettings."""
    if not location:
        return Settings
    if len(location) == _KIND_STEP + 1 and (kind := _KINDS.get(str(location[_KIND_STEP]))) is not None:
        return kind
    field = Settings.model_fields.get(str(location[0]))
    if field is None:
        return None
    candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def _did_you_mean(name: str, part: type[BaseModel] | None) -> str:
    known = list(part.model_fields) if part else []
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(known)}" if known else ""
