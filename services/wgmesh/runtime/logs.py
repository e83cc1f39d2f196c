"""Logs: one line an event on stderr, as text or JSON, with a level that can be changed while running.

    logs.configure("discovery", "wg0", "info", "text")
    log = logs.logger()
    log.info("peer found", peer=key.short, endpoint=str(endpoint))

The event is lower case and holds no values; the values are fields. Lines of the standard library's logging
(grpc, asyncio, libraries) come out the same way from WARNING up.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final, cast

from opentelemetry import trace
from wgmesh.core.errors import InvalidSetting
from wgmesh.runtime.deferred_imports import hidden

# structlog imports rich when it can, which costs every daemon 80 ms and several megabytes for coloured tracebacks.
with hidden("rich"):
    import structlog
    from wgmesh.runtime.log_lines import REPEAT_KEY, Event, RepeatLimiter, render_json, render_text, scrub_event

BoundLogger = structlog.stdlib.BoundLogger

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_ALIASES: Final = {"warn": "warning"}
_METHOD_LEVELS: Final = {"warn": "warning", "exception": "error", "critical": "error", "fatal": "error"}
FORMATS: Final = ("text", "json")


class _Threshold:
    """The level below which events are dropped: one for the process, so that a change reaches every logger."""

    name = "info"

    def __call__(self, _logger: Any, method: str, event: Event) -> Event:
        level = _METHOD_LEVELS.get(method, method)
        if LEVELS.get(level, LEVELS["info"]) < LEVELS[self.name]:
            raise structlog.DropEvent
        event["level"] = level
        return event


_threshold = _Threshold()


def configure(service: str, interface: str, level: str, format: str) -> None:
    """Sends this process's logs to stderr. Call it once, after the fork; calling it again replaces everything.

    Raises InvalidSetting for an unknown level or format.
    """
    if format not in FORMATS:
        raise InvalidSetting("--log-format", f"{format!r} is not a format. Use text or json.")
    _threshold.name = parse_level(level)
    structlog.configure(
        processors=[
            _threshold,
            structlog.contextvars.merge_contextvars,
            RepeatLimiter(time.monotonic),
            _add_trace_ids,
            structlog.processors.format_exc_info,
            scrub_event,
            _in_order(service, interface),
            _renderer(format),
        ],
        wrapper_class=BoundLogger,
        logger_factory=_StderrLogger,
        cache_logger_on_first_use=False,
    )
    _route_standard_logging()


def logger() -> BoundLogger:
    """Returns the logger. It may be fetched before `configure`, but must not be used before."""
    return cast(BoundLogger, structlog.get_logger())


def set_level(level: str) -> str:
    """Changes the level from the next event on and returns the previous one. Raises InvalidSetting."""
    previous, _threshold.name = _threshold.name, parse_level(level)
    return previous


def parse_level(level: str) -> str:
    """Returns the level's one name: debug, info, warning or error. Raises InvalidSetting."""
    name = level.strip().lower()
    name = _ALIASES.get(name, name)
    if name not in LEVELS:
        raise InvalidSetting("--log-level", f"{level!r} is not a level. Use debug, info, warning or error.")
    return name


class _StderrLogger:
    """The end of the chain. A line that cannot be written is lost; the service goes on."""

    def __init__(self, *_args: object) -> None:
        pass

    def msg(self, line: str) -> None:
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):  # a closed pipe or stream: there is nowhere left to complain
            return

    debug = info = warning = warn = error = critical = exception = fatal = log = msg


class _StandardLoggingHandler(logging.Handler):
    """Gives records of the standard library's logging to our own chain."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        report = getattr(logger(), level)
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, asyncio.CancelledError):  # gRPC tells of calls that end with the process as of bugs
            report, error = logger().debug, None
        # Repeats are counted by the text without its values: a library's line differs each time.
        repeat = f"{record.name}: {record.msg}"
        report(record.getMessage(), logger=record.name, exc_info=error, **{REPEAT_KEY: repeat})


def _route_standard_logging() -> None:
    root = logging.getLogger()
    for handler in [*root.handlers]:
        if isinstance(handler, _StandardLoggingHandler):
            root.removeHandler(handler)
    root.addHandler(_StandardLoggingHandler())
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)


def _add_trace_ids(_logger: Any, _method: str, event: Event) -> Event:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


def _in_order(service: str, interface: str) -> Any:
    def put_first(_logger: Any, _method: str, event: Event) -> Event:
        """Puts the fields that every line has in front, so that lines can be compared by eye."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        level, name = event.pop("level"), event.pop("event", "")
        return {"time": now, "level": level, "service": service, "interface": interface, "event": name, **event}

    return put_first


def _renderer(format: str) -> Any:
    if format == "json":
        return lambda _logger, _method, event: render_json(event)
    coloured = sys.stderr is not None and sys.stderr.isatty()
    return lambda _logger, _method, event: render_text(event, coloured)
