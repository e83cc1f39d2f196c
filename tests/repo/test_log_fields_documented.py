"""docs/reference/logging.md lists the events that the services log, each with its level and fields."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from support.repository import ROOT, files

PAGE = ROOT / "docs" / "reference" / "logging.md"
LEVELS = {"debug", "info", "warning", "error"}
LOGGERS = {"log", "_log"}
# What the chain of processors puts into a line (services/wgmesh/runtime/logs.py and log_lines.py).
ADDED = {"time", "level", "service", "interface", "event", "trace_id", "span_id", "suppressed", "exception", "logger"}

_EVENT_ROW = re.compile(r"^\| ([\w' ]+?) \| (debug|info|warning|error) \| (\w+) \| ([^|]*?) \|", re.MULTILINE)
_FIELD_ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


@dataclass(frozen=True, order=True)
class LogEvent:
    """One kind of line."""

    text: str
    level: str
    service: str
    fields: frozenset[str]


def logged(source: str, service: str) -> Iterator[LogEvent]:
    """The events that a module logs. A field in a `**` literal counts as one of the event."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS):
            continue
        owner = node.func.value
        name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
        if name not in LOGGERS:
            continue
        (text,) = node.args
        assert isinstance(text, ast.Constant), f"an event is a literal: {ast.unparse(node)}"
        yield LogEvent(str(text.value), node.func.attr, service, frozenset(_fields(node)))


def _fields(call: ast.Call) -> Iterator[str]:
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield "exception" if keyword.arg == "exc_info" else keyword.arg
            continue
        for part in ast.walk(keyword.value):
            if isinstance(part, ast.Dict):
                yield from (str(key.value) for key in part.keys if isinstance(key, ast.Constant))


def in_code() -> set[LogEvent]:
    folder = ROOT / "services" / "wgmesh"
    return {
        event
        for path in files("*.py")
        if path.is_relative_to(folder)
        for event in logged(path.read_text(), path.relative_to(folder).parts[0])
    }


def on_page() -> set[LogEvent]:
    rows = _EVENT_ROW.findall(PAGE.read_text())
    return {
        LogEvent(text, level, service, frozenset(re.findall(r"`(\w+)`", fields)))
        for text, level, service, fields in rows
    }


def test_the_page_has_every_event_with_its_level_and_fields() -> None:
    code, page = in_code(), on_page()
    assert len(code) > 20
    assert sorted(code - page) == [], "logged and not on the page"
    assert sorted(page - code) == [], "on the page and no longer logged"


def test_the_page_explains_every_field() -> None:
    used = {field for event in in_code() for field in event.fields}
    explained = set(_FIELD_ROW.findall(PAGE.read_text()))
    assert used | ADDED == explained


def test_the_reader_of_code_finds_fields_wherever_they_are_given() -> None:
    source = """
self._log.info("first", peer=1)
shell.log.error("second", exc_info=error, **({"reason": reason} if reason else {}))
self.blog.info("third", nothing=1)
"""
    assert set(logged(source, "x")) == {
        LogEvent("first", "info", "x", frozenset({"peer"})),
        LogEvent("second", "error", "x", frozenset({"exception", "reason"})),
    }
