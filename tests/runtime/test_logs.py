from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from io import TextIOWrapper

import pytest
from opentelemetry.sdk.trace import TracerProvider
from wgmesh.core.errors import InvalidSetting
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import PresharedKey
from wgmesh.runtime import logs
from wgmesh.runtime.log_lines import EQUAL_LINES_AT_ONCE

SECRET_TEXT = "a-secret-that-must-never-be-printed"


@pytest.fixture(autouse=True)
def _restore_root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_json_line_holds_time_level_service_interface_event_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("discovery", "wg0", "info", "json")

    logs.logger().info("peer found", peer="abc", count=3)

    [line] = written(capsys)
    assert list(line) == ["time", "level", "service", "interface", "event", "peer", "count"]
    assert (line["level"], line["service"], line["event"], line["count"]) == ("info", "discovery", "peer found", 3)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line["time"]))


def test_a_text_line_is_one_line_without_colour_when_stderr_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("nat", "wg1", "info", "text")

    logs.logger().warning("server silent", server="192.0.2.1:3478", reason="timed out")

    assert re.fullmatch(
        r'\S+Z warning nat\[wg1\] server silent server=192\.0\.2\.1:3478 reason="timed out"\n', capsys.readouterr().err
    )


def test_the_level_changes_for_loggers_that_exist_already(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("node", "wg0", "info", "json")
    log = logs.logger().bind(part="early")
    log.debug("hidden")

    assert logs.set_level("debug") == "info"
    log.debug("shown")
    assert logs.set_level("WARN") == "debug"
    log.info("hidden again")

    assert [line["event"] for line in written(capsys)] == ["shown"]
    assert logs.set_level("error") == "warning"


@pytest.mark.parametrize("level", ["", "trace", "verbose", "10"])
def test_an_unknown_level_is_refused_and_changes_nothing(level: str) -> None:
    logs.configure("node", "wg0", "error", "json")

    with pytest.raises(InvalidSetting):
        logs.set_level(level)

    assert logs.set_level("info") == "error"


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="--log-format"):
        logs.configure("node", "wg0", "info", "xml")


@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_no_secret_reaches_the_output_at_any_depth(capsys: pytest.CaptureFixture[str], log_format: str) -> None:
    logs.configure("node", "wg0", "debug", log_format)
    secret, psk = Secret(SECRET_TEXT), PresharedKey(b"k" * 32)

    logs.logger().info("join", secret=secret, psk=psk, nested={"a": [secret, (psk,)]}, raw=b"k" * 32)

    output = capsys.readouterr().err
    assert SECRET_TEXT not in output
    assert "kkkk" not in output
    assert "a2tra2" not in output  # the same key in base64
    assert output.count("(hidden)") == 4


def test_lines_of_the_standard_library_come_out_the_same_way_from_warning_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure("node", "wg0", "debug", "json")

    logging.getLogger("grpc._cython").info("not shown")
    logging.getLogger("grpc._cython").warning("socket %s", "closed")

    [line] = written(capsys)
    assert (line["event"], line["level"], line["logger"]) == ("socket closed", "warning", "grpc._cython")


def test_what_was_cancelled_is_no_fault_and_has_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """gRPC tells of a watch that its client and its server end at the same moment as of a bug."""
    logs.configure("node", "wg0", "debug", "json")

    try:
        try:
            raise asyncio.CancelledError
        finally:
            raise asyncio.CancelledError
    except asyncio.CancelledError:
        logging.getLogger("grpc._cython.cygrpc").exception("Exception not handled in [%s]", "WatchPaths")

    [line] = written(capsys)
    assert (line["event"], line["level"]) == ("Exception not handled in [WatchPaths]", "debug")
    assert "exception" not in line


def test_repeats_of_a_library_line_are_limited_although_their_values_differ(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("node", "wg0", "info", "json")

    for number in range(50):
        logging.getLogger("asyncio").warning("socket.send() raised %d", number)

    assert len(written(capsys)) == EQUAL_LINES_AT_ONCE


def test_the_ids_of_the_current_span_are_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("node", "wg0", "info", "json")

    with TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("turn") as span:
        logs.logger().info("inside")
    logs.logger().info("outside")

    inside, outside = written(capsys)
    assert inside["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert inside["span_id"] == f"{span.get_span_context().span_id:016x}"
    assert "trace_id" not in outside


def test_an_exception_is_told_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("node", "wg0", "info", "json")

    try:
        raise KeyError("gone")
    except KeyError:
        logs.logger().exception("turn failed")

    [line] = written(capsys)
    assert line["level"] == "error"
    assert "KeyError: 'gone'" in str(line["exception"])


def test_a_closed_stderr_loses_the_line_and_not_the_service() -> None:
    logs.configure("node", "wg0", "info", "text")
    reading, writing = os.pipe()
    os.close(reading)

    with open(writing, "wb", buffering=0) as raw, redirect_stderr(TextIOWrapper(raw, write_through=True)) as closed:
        with pytest.raises(BrokenPipeError):
            closed.write("a word")
        logs.logger().error("nobody hears this")


def test_rich_is_not_imported_with_the_logs_and_can_be_later() -> None:
    code = "import sys, wgmesh.runtime.logs; assert 'rich' not in sys.modules; import rich.console"

    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
