"""Whose clock is wrong: the times in others' messages, compared with ours.

Messages are refused beyond ten minutes, so a clock that is off by more leaves a node alone without a word. What is
refused for its time alone is authentic all the same, and tells by how much.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from wgmesh.core.model import Endpoint, IPAddress, PublicKey

PEERS_MAX = 64  # a median needs no more
FRESH_S = 900.0  # as long as a peer may be silent and still count
# Seconds are whole on the wire, and a datagram may wait for a busy machine. Beyond this GOODBYEs of upstream suffer.
NOTABLE_S = 30.0
# A clock that is wrong by so much is so in each message. One that is recorded and repeated loses a second each second.
STEADY_S = 3.0
APART_S = 2 * STEADY_S


@dataclass(frozen=True, slots=True)
class _Refused:
    offset_s: float
    first_at: float
    last_at: float


class ClockSkew:
    """The offsets of others' clocks from ours, in seconds; positive where theirs are ahead."""

    def __init__(self) -> None:
        self._offsets: OrderedDict[PublicKey, tuple[float, float]] = OrderedDict()
        self._refused: tuple[float, float] | None = None
        self._refused_from: OrderedDict[Endpoint, _Refused] = OrderedDict()

    def note(self, key: PublicKey, offset_s: float, now: float) -> None:
        """Takes how far the time of an accepted message is ahead of our clock."""
        self._offsets[key] = (offset_s, now)
        self._offsets.move_to_end(key)
        if len(self._offsets) > PEERS_MAX:
            self._offsets.popitem(last=False)

    def note_refused(self, source: Endpoint, offset_s: float, now: float) -> None:
        """Takes the offset of a message that was refused for its time. It may be a recording."""
        self._refused = (offset_s, now)
        before = self._refused_from.pop(source, None)
        if before is None or abs(offset_s - before.offset_s) > STEADY_S:
            before = _Refused(offset_s, now, now)
        self._refused_from[source] = replace(before, last_at=now)
        if len(self._refused_from) > PEERS_MAX:
            self._refused_from.popitem(last=False)

    def note_accepted(self, source: Endpoint) -> None:
        """Takes it that a message from there has a time that may be right."""
        self._refused_from.pop(source, None)

    def clock_set(self, by_s: float) -> None:
        """Our clock was set: what was measured with it before is known as if it had shown the same then."""
        for key, (offset_s, at) in self._offsets.items():
            self._offsets[key] = (offset_s - by_s, at)
        if self._refused is not None:
            self._refused = (self._refused[0] - by_s, self._refused[1])
        self._refused_from.clear()  # whether they would be refused now shows with their next message

    def is_confirmed(self, now: float) -> bool:
        """Whether others' clocks bear ours out. What was refused bears out nothing."""
        offsets = [offset_s for offset_s, at in self._offsets.values() if now - at < FRESH_S]
        return bool(offsets) and abs(self.offset_s(now) or 0.0) < NOTABLE_S

    def offset_s(self, now: float) -> float | None:
        """How far the others' clocks are ahead of ours; None where nothing is known.

        A refused message counts only where no other is heard: then it is most likely no recording but our own clock.
        """
        fresh = sorted(offset for offset, at in self._offsets.values() if now - at < FRESH_S)
        if fresh:  # their median; Python's own module for it would take 1 MB of every node
            return (fresh[(len(fresh) - 1) // 2] + fresh[len(fresh) // 2]) / 2
        if self._refused is not None and now - self._refused[1] < FRESH_S:
            return self._refused[0]
        return None

    def peers_off(self, now: float) -> list[PublicKey]:
        """The peers whose clocks are notably off while those of most others agree with ours."""
        own = self.offset_s(now)
        if own is None or abs(own) >= NOTABLE_S:
            return []
        return [key for key, (offset, at) in self._offsets.items() if now - at < FRESH_S and abs(offset) >= NOTABLE_S]

    def refused(self, now: float) -> dict[IPAddress, float]:
        """From which hosts messages are refused that one wrong clock has dated, and how far it is ahead of ours.

        Only while the clocks of others bear ours out. The same recording again would be older each time.
        """
        if not self.is_confirmed(now):
            return {}
        return {
            source.host: each.offset_s
            for source, each in self._refused_from.items()
            if now - each.last_at < FRESH_S and each.last_at - each.first_at >= APART_S
        }

    def sentence(self, now: float) -> str:
        """What the operator should know of our clock; empty if there is nothing.

        Most of several peers are right. One alone may be the one that is wrong, and a refused message proves nothing.
        """
        offset = self.offset_s(now)
        if offset is None or abs(offset) < NOTABLE_S:
            return ""
        direction = "behind" if offset > 0 else "ahead of"
        seconds = f"about {abs(offset):.0f} s {direction}"
        witnesses = sum(now - at < FRESH_S for _, at in self._offsets.values())
        if not witnesses:
            said = f"A message was refused for its time, by which this node's clock is {seconds} its sender's."
            return f"{said} Nothing proves that message. Compare this node's clock, for example with NTP."
        if witnesses == 1:
            said = f"This node's clock is {seconds} that of one peer, the only one that is heard."
            return f"{said} Either may be wrong. Compare this node's clock, for example with NTP."
        consequence = "they refuse what we say" if abs(offset) > 600 else "beyond 600 s they will refuse what we say"
        return f"This node's clock is {seconds} those of its peers; {consequence}. Set the clock, for example with NTP."
