"""nat/ping_lines.py: what comes on a connection to the TCP probe server, in pieces of any size."""

from __future__ import annotations

from collections.abc import Iterable

from fuzz.rules import accepted
from wgmesh.nat.ping_lines import LINE_BYTES_MAX, PING, PINGS_AT_ONCE, PingLines

WORDS = (b"ping\n", b" ping\r\n", b"\n", b"\x00")


def seeds() -> Iterable[bytes]:
    yield b"\x05" + PING * 3
    yield b"\x02ping \r\nhello\nping"
    yield b"\xff" + PING * 60
    yield b"\x80" + b"x" * (LINE_BYTES_MAX + 1)


def check(data: bytes) -> None:
    """The first byte is how many bytes come at a time."""
    size, sent = max(1, data[0] if data else 1), data[1:]
    lines = PingLines()
    answered = 0
    for start in range(0, len(sent), size):
        pings = accepted(lambda start=start: lines.feed(sent[start : start + size]))  # type: ignore[misc]
        if pings is None:
            break
        answered += pings
    assert answered <= min(PINGS_AT_ONCE, sent.count(b"ping"))
