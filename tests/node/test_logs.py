"""What the logs say, and what they never say."""

import io
import json
import logging
import warnings
from typing import Any

import pydicom
import pytest
import structlog

from node.logs import configure_logging, describe_error


@pytest.fixture
def stream(logging_as_before: None) -> io.StringIO:
    """The logs of the process, caught."""
    stream = io.StringIO()
    configure_logging(stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_event_level_logger_and_utc_time(stream: io.StringIO) -> None:
    structlog.get_logger("node.x").info("case_ready", case_id=7)

    (line,) = lines(stream)
    assert (line["event"], line["case_id"], line["level"], line["logger"]) == ("case_ready", 7, "info", "node.x")
    assert line["timestamp"].endswith("Z")


def test_lines_below_the_level_are_left_out(stream: io.StringIO) -> None:
    structlog.get_logger("node.x").debug("detail")

    assert stream.getvalue() == ""


def test_an_identifying_field_is_withheld(stream: io.StringIO) -> None:
    structlog.get_logger("node.x").info("slip", patient_name="Doe^Jane", patient_id="4711")

    assert "Doe" not in stream.getvalue()
    assert "4711" not in stream.getvalue()


def test_lines_of_other_libraries_have_the_same_form(stream: io.StringIO) -> None:
    logging.getLogger("elsewhere").warning("disk %s", "slow")

    assert lines(stream)[0]["event"] == "disk slow"


def test_texts_of_dicom_libraries_are_withheld_and_their_place_is_kept(stream: io.StringIO) -> None:
    logging.getLogger("pydicom.something").critical("bad value 'Doe^Jane'")

    assert "Doe" not in stream.getvalue()
    assert "test_logs.py" in lines(stream)[0]["text"]


def test_a_python_warning_is_told_by_its_place_alone(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning(UserWarning("Invalid value '1960-06-11'"), UserWarning, "values.py", 12)

    assert lines(stream)[0]["event"] == "python_warning"
    assert "1960" not in stream.getvalue()


def _parse_error() -> Exception:
    """What pydicom raises on a birth date that is none, with the date in its message."""
    try:
        pydicom.valuerep.DA("Doe-1960")
    except ValueError as error:
        return error
    raise AssertionError("pydicom takes this date")


def test_the_message_of_a_dicom_library_is_left_out_of_a_traceback(stream: io.StringIO) -> None:
    structlog.get_logger("node.x").error("failed", exc_info=_parse_error())

    (line,) = lines(stream)
    assert "1960" not in stream.getvalue()
    assert "valuerep.py" in line["exception"]


def test_our_own_message_is_kept_in_a_traceback_with_its_cause(stream: io.StringIO) -> None:
    error = RuntimeError("case 7: no room")
    error.__cause__ = KeyError("inner")

    structlog.get_logger("node.x").error("failed", exc_info=error)

    (line,) = lines(stream)
    assert line["exception"].index("KeyError") < line["exception"].index("RuntimeError: case 7: no room")


def test_an_error_described_for_storage_keeps_no_value_of_a_data_set() -> None:
    described = describe_error(_parse_error())

    assert described.startswith("ValueError in valuerep.py")
    assert "1960" not in described
