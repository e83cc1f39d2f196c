"""What happens to a log event between the call and the line: scrubbing, rate limiting, rendering.

Everything here is a plain value or a function of its arguments; `logs.py` puts the pieces together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from structlog import DropEvent
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import PresharedKey
from wgmesh.core.ratelimit import TokenBucket
from wgmesh.core.recent import Recent

Event = MutableMapping[str, Any]
Processor = Callable[[Any, str, Event], Event]

# Peers come and go, and who knows the secret can make that happen without end. Two kinds of line follow each other then
# (a peer comes, it leaves), beside a warning or two.
EQUAL_LINES_AT_ONCE = 5  # all peers of a small mesh are found
EQUAL_LINES_EVERY_S = 60.0  # as often as anybody wants to read the same again
MAX_LIMITED_EVENTS = 256  # event names are literals in our code, so this is far above what exists
REPEAT_KEY = "_repeat_key"  # what tells repeats when the event's own text does not; never printed
MAX_VALUE_CHARS = 2000  # a value from the network must not make a line without end
MAX_DEPTH = 6  # deeper values are shown as their type

_PLAIN = re.compile(r"[\w.:/@+\-\[\]%,]+", re.ASCII)
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}
_RESET = "\x1b[0m"
_FIRST_FIELDS = frozenset({"time", "level", "service", "interface", "event", "exception"})


def scrub(value: object, depth: int = 0) -> Any:
    """Returns the value as it may be printed: no secret, no raw bytes, bounded, JSON-ready.

    Keys are often raw bytes, so bytes are never shown, only counted.
    """
    match value:
        case None | bool() | int() | float():
            return value
        case Secret() | PresharedKey():
            return "(hidden)"
        case bytes() | bytearray() | memoryview():
            return f"({len(value)} bytes)"
        case str():
            return _clip(str(value))
        case _ if depth >= MAX_DEPTH:
            return f"({type(value).__name__})"
        case Mapping():
            return {str(scrub(k, depth + 1)): scrub(v, depth + 1) for k, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [scrub(item, depth + 1) for item in value]
        case _:
            return _clip(str(value))


def _clip(text: str) -> str:
    return text if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}... ({len(text)} characters)"


def scrub_event(_logger: Any, _method: str, event: Event) -> Event:
    """The processor form of `scrub`."""
    # A traceback is text that Python made; it has no values of variables in it, and its end is what matters.
    return {key: value if key == "exception" else scrub(value) for key, value in event.items()}


@dataclass(slots=True)
class _Kind:
    """The lines of one event."""

    bucket: TokenBucket
    suppressed: int = 0


class RepeatLimiter:
    """Lets a few equal events through at once, then one in a while, and says how many were held back before it.

    Nothing that comes from the network makes more lines than that, whatever it is. Only the first of them has its
    traceback. `debug` is for those who ask for all.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kinds: Recent[str, _Kind] = Recent(MAX_LIMITED_EVENTS)

    def __call__(self, _logger: Any, _method: str, event: Event) -> Event:
        """Returns the event, with `suppressed` if some were held back. Raises DropEvent to hold this one back."""
        name = str(event.pop(REPEAT_KEY, event.get("event", "")))
        name += str(event.get("child", ""))  # they are five, and what one of them does is not what another did
        if event.get("level") == "debug":
            return event
        now = self._clock()
        kind = self._kinds.get(name) or _Kind(TokenBucket(1 / EQUAL_LINES_EVERY_S, EQUAL_LINES_AT_ONCE, now))
        self._kinds.note(name, kind)
        if not kind.bucket.take(now):
            kind.suppressed += 1
            raise DropEvent
        if event.get("exc_info") is not None and kind.bucket.tokens < EQUAL_LINES_AT_ONCE - 1:
            event["error"] = type(event.pop("exc_info")).__name__
        held_back, kind.suppressed = kind.suppressed, 0
        return {**event, "suppressed": held_back} if held_back else event


def render_json(event: Mapping[str, Any]) -> str:
    """One JSON object on one line; time, level, service and event come first."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=str)


def render_text(event: Mapping[str, Any], coloured: bool = False) -> str:
    """One line to read: time, level, service, event, then key=value. A traceback follows on its own lines."""
    level = str(event.get("level", "info"))
    shown_level = f"{level:<7}"
    if coloured:
        shown_level = f"{_COLOURS.get(level, '')}{shown_level}{_RESET}"
    source = f"{event.get('service', '-')}[{event.get('interface', '-')}]"
    fields = [f"{_quoted(key)}={_quoted(value)}" for key, value in event.items() if key not in _FIRST_FIELDS]
    words = [str(event.get("time", "")), shown_level, source, _one_line(str(event.get("event", "")))]
    line = " ".join(words + fields)
    exception = event.get("exception")
    return f"{line}\n{exception}" if exception else line


def _quoted(value: object) -> str:
    """Bare when unmistakable, else as JSON. Control characters from the network never reach a terminal raw."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if text.isprintable() else json.dumps(value, default=str)


def _one_line(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)
