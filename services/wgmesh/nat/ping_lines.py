"""The line protocol of the TCP probe: `ping` is answered by `pong` (protocol notes 17.1)."""

from __future__ import annotations

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.ratelimit import TokenBucket

PING = b"ping\n"
PONG = b"pong\n"
LINE_BYTES_MAX = 1024  # a ping has five; more without a line end is something else
PINGS_PER_S = 10.0  # a Go node sends one a second, and the next only after the answer
PINGS_AT_ONCE = 50  # a client that was held up may send several; more is no measurement


class PingLines:
    """Reads the bytes of one connection. What comes faster or longer than any client sends it ends the connection."""

    def __init__(self, now: float = 0.0) -> None:
        self._partial = b""
        self._bucket = TokenBucket(PINGS_PER_S, PINGS_AT_ONCE, now)

    def feed(self, data: bytes, now: float = 0.0) -> int:
        """Takes received bytes; returns how many pings they complete, each of which is answered by PONG.

        White space around a line does not matter; a line that is no ping gets no answer. Raises MalformedMessage when a
        line grows too long, or pings or other lines come too fast.
        """
        if len(self._partial) + len(data) > LINE_BYTES_MAX:
            raise MalformedMessage(f"more than {LINE_BYTES_MAX} bytes at once")
        *lines, self._partial = (self._partial + data).split(b"\n")
        if lines and not self._bucket.take(now, len(lines)):
            raise MalformedMessage(f"more than {PINGS_PER_S:g} lines a second")
        return sum(line.strip() == PING.strip() for line in lines)


def is_pong(line: bytes) -> bool:
    """Returns whether a received line answers a ping."""
    return line.strip() == PONG.strip()
