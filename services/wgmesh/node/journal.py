"""What the log says of peers: one line when one connects or falls silent, with its name and mesh address.

A peer that comes and goes all the time has one line a minute, with what it is then. Members can make peers as they
like, so all peers together have a rate, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wgmesh.core.model import Peer, PublicKey
from wgmesh.core.ratelimit import TokenBucket
from wgmesh.core.steady import Steady
from wgmesh.node.liveness import Liveness, Verdict

AGAIN_S = 60.0
LINES_AT_ONCE = 64  # a mesh of fifty comes up
LINES_PER_S = 0.1

CONNECTED, SILENT = "connected", "silent"


@dataclass(frozen=True, slots=True)
class Remark:
    """One line: of whom, whether it is connected now, and if not why not."""

    peer: Peer
    is_connected: bool
    reason: str


class Journal:
    """Remembers what was said of each peer. Times are monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._peers: dict[PublicKey, Steady[str]] = {}
        self._bucket = TokenBucket(LINES_PER_S, LINES_AT_ONCE, now)

    def remarks(
        self, peers: Mapping[PublicKey, Peer], verdicts: Mapping[PublicKey, Verdict], now: float
    ) -> list[Remark]:
        """What to say now. Peers that are gone are forgotten: that they left is said by discovery, which knows why."""
        self._peers = {key: steady for key, steady in self._peers.items() if key in verdicts}
        found = []
        for key, verdict in verdicts.items():
            steady = self._peers.get(key)
            if verdict.liveness is Liveness.CONNECTING or key not in peers:
                continue
            if steady is None:
                steady = self._peers[key] = Steady("", 0.0, AGAIN_S)
            steady.note(CONNECTED if verdict.liveness is Liveness.CONNECTED else SILENT, now)
            told = steady.take(now)
            if told is not None and self._bucket.take(now):
                found.append(Remark(peers[key], told == CONNECTED, verdict.reason))
        return found
