import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator

import pytest

from streaming_runtime.errors import ErrorReport
from streaming_runtime.logs import FramedSink, Log, StandardSink


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def failure(message: str) -> ErrorReport:
    try:
        raise ValueError(message)
    except ValueError as error:
        return ErrorReport.of(error, "req-1")


def read_frame(descriptor: int) -> tuple[int, int, str]:
    """One frame's type, time in µs of the epoch, and text."""
    data = os.read(descriptor, 1 << 16)
    length = int.from_bytes(data[4:8], "big")
    assert len(data) == 16 + length
    return int.from_bytes(data[:4], "big"), int.from_bytes(data[8:16], "big"), data[16:].decode()


def test_text_lines_carry_level_time_and_request(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(StandardSink())
    log.install()
    log.set_invocation("req-1")
    root.warning("low on %s", "tea")
    line = capsys.readouterr().out
    assert re.fullmatch(r"\[WARNING\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\treq-1\tlow on tea\n", line)


def test_json_lines_are_objects_with_the_extras(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    log = Log(StandardSink(), as_json=True, level="INFO")
    log.install()
    log.set_invocation("req-1", "tenant-1")
    root.debug("not made")
    root.info({"a": 1}, extra={"deployment": "ark/glm", "odd": {1}})
    try:
        raise KeyError("k")
    except KeyError:
        root.exception("failed")
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", first.pop("timestamp"))
    assert first == {
        "level": "INFO",
        "message": {"a": 1},
        "logger": "root",
        "requestId": "req-1",
        "tenantId": "tenant-1",
        "deployment": "ark/glm",
        "odd": "{1}",
    }
    assert (second["errorType"], second["errorMessage"], second["message"]) == ("KeyError", "'k'", "failed")
    assert second["location"].startswith(__file__)
    assert len(second["stackTrace"]) == 1


@pytest.mark.parametrize(
    ("as_json", "level", "frame"),
    [
        pytest.param(False, "", 0xA55A0003, id="text without a level"),
        pytest.param(False, "INFO", 0xA55A0013, id="text with a level"),
        pytest.param(True, "INFO", 0xA55A0012, id="json"),
    ],
)
def test_each_message_is_one_frame(root: logging.Logger, as_json: bool, level: str, frame: int) -> None:
    reader, writer = os.pipe()
    try:
        log = Log(FramedSink(writer), as_json=as_json, level=level)
        log.install()
        before = time.time_ns() // 1000
        root.warning("two\nlines")
        kind, at, text = read_frame(reader)
        assert kind == frame
        assert before <= at <= time.time_ns() // 1000
        assert "two" in text
        log.error(failure("multi\nline"))
        kind, _, text = read_frame(reader)
        assert kind == (0xA55A0016 if as_json else 0xA55A0017)
        assert "ValueError" in text
        log.write("as it is")
        assert read_frame(reader)[2] == "as it is"
    finally:
        os.close(reader)
        os.close(writer)


def test_an_error_is_one_line_of_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    Log(StandardSink()).error(failure("multi\n[ERROR] forged"))
    written = capsys.readouterr().out
    assert written.count("\n") == 1
    assert written.startswith(
        "[ERROR] ValueError: multi\r[ERROR] forged\rTraceback (most recent call last):\r\u00a0\u00a0File"
    )


def test_an_error_is_one_object_in_json_logs(capsys: pytest.CaptureFixture[str]) -> None:
    Log(StandardSink(), as_json=True).error(failure("bad"))
    line = json.loads(capsys.readouterr().out)
    assert (line["level"], line["errorType"], line["errorMessage"], line["requestId"]) == (
        "ERROR",
        "ValueError",
        "bad",
        "req-1",
    )


def test_the_environment_configures_the_log_and_loses_the_descriptor() -> None:
    reader, writer = os.pipe()
    try:
        environ = {"_LAMBDA_TELEMETRY_LOG_FD": str(writer), "AWS_LAMBDA_LOG_FORMAT": "json"}
        Log.from_environment(environ).error(failure("bad"))
        assert read_frame(reader)[0] == 0xA55A0016
        assert "_LAMBDA_TELEMETRY_LOG_FD" not in environ
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    ("level", "numeric"), [("TRACE", logging.DEBUG), ("error", logging.ERROR), ("", None), ("NONSENSE", None)]
)
def test_the_level_applies_to_the_root_logger(root: logging.Logger, level: str, numeric: int | None) -> None:
    root.setLevel(logging.WARNING)
    Log(StandardSink(), level=level).install()
    assert root.level == (logging.WARNING if numeric is None else numeric)


def test_a_record_that_cannot_be_formatted_does_not_fail_the_function(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    root.handlers.clear()
    Log(StandardSink()).install()
    root.error("%d", "not a number")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Logging error" in captured.err
    assert sys.stdout.writable()
