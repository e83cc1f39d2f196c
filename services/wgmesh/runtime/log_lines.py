"""What happens to a log event between the call and the line: scrubbing, rate limiting, rendering.

Everything here is a plain value or a function of its arguments; `logs.py` puts the pieces together.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from structlog import DropEvent
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import PresharedKey

Event = MutableMapping[str, Any]
Processor = Callable[[Any, str, Event], Event]

REPEATS_PER_MINUTE = 10  # enough to see a pattern, few enough that an outsider's packets cannot fill a disk
# Peers come and go, devices change: an operator reads them one by one. But who knows the secret can make that happen
# without end. Three kinds of line follow each other then (a peer comes, it leaves, the device changes), and with one
# of warnings they stay below a line a second, which a disk bears.
INFO_PER_MINUTE = 16
REPEAT_WINDOW_S = 60.0
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
class _Window:
    opened: float
    count: int = 0
    suppressed: int = 0


class RepeatLimiter:
    """Lets the same event through a number of times a minute, and says later how many were held back.

    Nothing that comes from the network makes more lines than that, whatever it is. `debug` is for who asks for all.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        per_minute: int = REPEATS_PER_MINUTE,
        info_per_minute: int = INFO_PER_MINUTE,
    ) -> None:
        self._clock = clock
        self._allowed = {"warning": per_minute, "error": per_minute, "info": info_per_minute}
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    def __call__(self, _logger: Any, _method: str, event: Event) -> Event:
        """Returns the event, with `suppressed` if some were held back. Raises DropEvent to hold this one back."""
        name = str(event.pop(REPEAT_KEY, event.get("event", "")))
        allowed = self._allowed.get(str(event.get("level")))
        if allowed is None:
            return event
        now = self._clock()
        window = self._windows.get(name)
        held_back = 0
        if window is None or now - window.opened >= REPEAT_WINDOW_S:
            held_back = window.suppressed if window else 0
            window = self._windows[name] = _Window(now)
        self._windows.move_to_end(name)
        if len(self._windows) > MAX_LIMITED_EVENTS:
            self._windows.popitem(last=False)
        window.count += 1
        if window.count > allowed:
            window.suppressed += 1
            raise DropEvent
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
