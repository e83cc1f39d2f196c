"""The line protocol of the TCP probe: `ping` is answered by `pong` (protocol notes 17.1)."""

from __future__ import annotations

from wgmesh.core.errors import MalformedMessage

PING = b"ping\n"
PONG = b"pong\n"
LINE_BYTES_MAX = 1024  # a ping has five; whoever sends more without a line end means something else


class PingLines:
    """Answers the bytes of one connection."""

    def __init__(self) -> None:
        self._partial = b""

    def feed(self, data: bytes) -> tuple[int, bytes]:
        """Takes received bytes; returns how many lines they completed, and the answer to them.

        White space around a line does not matter; a line that is no ping gets no answer. Raises MalformedMessage when a
        line grows too long.
        """
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > LINE_BYTES_MAX:
            raise MalformedMessage(f"a line of more than {LINE_BYTES_MAX} bytes")
        return len(lines), b"".join(PONG for line in lines if line.strip() == PING.strip())


def is_pong(line: bytes) -> bool:
    """Returns whether a received line answers a ping."""
    return line.strip() == PONG.strip()
