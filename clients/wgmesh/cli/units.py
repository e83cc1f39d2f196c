"""Numbers, times, keys and words as people and scripts read them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any, Protocol

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from wgmesh.v1 import endpoint_pb2

NONE = "-"  # what a column shows where there is no value
_NANOSECONDS = 1_000_000_000


class Enumeration(Protocol):
    """What generated enums have in common."""

    def Name(self, number: Any) -> str: ...
    def values(self) -> list[Any]: ...


def seconds(message: Message, field: str) -> float | None:
    """Unix seconds, or a span in seconds, of a timestamp or duration field; None if it is unset."""
    if not message.HasField(field):
        return None
    value: Timestamp | Duration = getattr(message, field)
    return value.seconds + value.nanos / _NANOSECONDS


def clean(text: str) -> str:
    """Replaces what could steer a terminal or break a line."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def enum_word(enumeration: Enumeration, number: int, prefix: str) -> str:
    """MAPPING_ENDPOINT_INDEPENDENT becomes endpoint-independent; a number from a newer node stays a number."""
    if number not in enumeration.values():
        return str(number)
    return enumeration.Name(number).removeprefix(prefix).lower().replace("_", "-")


def key_text(raw: bytes) -> str:
    """The base64 form of a key, as `wg` prints it; empty for no key."""
    return base64.b64encode(raw).decode("ascii")


def endpoint_text(message: endpoint_pb2.Endpoint) -> str:
    return f"[{message.host}]:{message.port}" if ":" in message.host else f"{message.host}:{message.port}"


def optional_endpoint(message: Message, field: str) -> str:
    """The endpoint in a field as text; empty if it is unset."""
    return endpoint_text(getattr(message, field)) if message.HasField(field) else ""


def rfc3339(at: float | None) -> str | None:
    """UTC with whole seconds, as upstream's `last_seen`."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age(at: float | None, now: float) -> str:
    """One rounded-down unit, as upstream prints ages: `12s`, `3m`, `5h`, `2d`."""
    if at is None:
        return NONE
    return span(now - at)


def span(span_s: float) -> str:
    """A span in its largest whole unit; a negative one, from a clock that was set back, counts as zero."""
    elapsed = max(0, int(span_s))
    for unit, unit_s in (("d", 86400), ("h", 3600), ("m", 60)):
        if elapsed >= unit_s:
            return f"{elapsed // unit_s}{unit}"
    return f"{elapsed}s"


def milliseconds(span_s: float | None) -> str:
    return NONE if span_s is None else f"{span_s * 1000:.1f}ms"


def byte_count(count: int) -> str:
    """Binary units, as `wg show` prints transfer."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        amount /= 1024
        if amount < 1024:
            return f"{amount:.1f} {unit}"
    return f"{amount / 1024:.1f} TiB"


def shortened(text: str, width: int) -> str:
    """Cuts a text to `width` characters, three dots included where there is room for them."""
    if len(text) <= width:
        return text
    return text[: width - 3] + "..." if width > 3 else text[:width]
