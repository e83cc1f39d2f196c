"""JSON from strangers: bounded, strict, and read the way Go nodes read it.

Whatever the bytes are, the answer is a value or MalformedMessage, whose text is a stable reason without the content.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isinf
from typing import NoReturn

from wgmesh.core.errors import MalformedMessage

NESTING_MAX = 32  # no format here, and none of upstream's, has more than six; what is read must also be writable again
INT64 = range(-(2**63), 2**63)  # what a Go integer member can hold


def parse_json(data: bytes, max_bytes: int) -> object:
    """Parses one JSON text of at most `max_bytes`. Raises MalformedMessage.

    Refused beyond ordinary JSON errors: other encodings than UTF-8, duplicate names, NaN, Infinity and numbers that
    would become it, nesting deeper than `NESTING_MAX`. So every value that is returned can be written again.
    """
    if len(data) > max_bytes:
        raise MalformedMessage("too large")
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse_constant, parse_float=_finite
        )
    except RecursionError:
        raise MalformedMessage("JSON nested too deeply") from None
    except ValueError:  # also UnicodeDecodeError, and integers of thousands of digits
        raise MalformedMessage("not JSON") from None
    # counted first, because that is far cheaper, and a message has few of them
    if data.count(b"[") + data.count(b"{") > NESTING_MAX and _is_deep(value):
        raise MalformedMessage("JSON nested too deeply")
    return value


def to_json(value: object) -> bytes:
    """Returns compact ASCII JSON."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


class Members:
    """The members of one JSON object, read by name in any letter case; null counts as absent, as in Go.

    Every reader raises MalformedMessage that begins with the member's name.
    """

    __slots__ = ("_values",)

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise MalformedMessage("not a JSON object")
        self._values = {name.lower(): item for name, item in value.items() if item is not None}
        if len({name.lower() for name in value}) != len(value):
            raise MalformedMessage("a member appears twice")

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def get(self, name: str) -> object | None:
        return self._values.get(name)

    def text(self, name: str) -> str:
        """Returns a string; the empty one when absent."""
        value = self._values.get(name, "")
        if not isinstance(value, str):
            raise MalformedMessage(f"{name}: not a string")
        return value

    def flag(self, name: str) -> bool:
        """Returns a boolean; False when absent."""
        value = self._values.get(name, False)
        if not isinstance(value, bool):
            raise MalformedMessage(f"{name}: not a boolean")
        return value

    def integer(self, name: str) -> int:
        """Returns an integer that was written as one (`1.0` is refused). It must be there."""
        value = self._values.get(name)
        if type(value) is not int or value not in INT64:
            raise MalformedMessage(f"{name}: not an integer")
        return value

    def items(self, name: str) -> list[object]:
        """Returns an array; the empty one when absent."""
        value = self._values.get(name, [])
        if not isinstance(value, list):
            raise MalformedMessage(f"{name}: not an array")
        return value


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(NESTING_MAX):
        level = [
            item
            for each in level
            if isinstance(each, dict | list)
            for item in (each.values() if isinstance(each, dict) else each)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def _distinct(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise MalformedMessage("a member appears twice")
        members[name] = value
    return members


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise MalformedMessage("not JSON")
    return number


def _refuse_constant(_: str) -> NoReturn:
    raise MalformedMessage("not JSON")
