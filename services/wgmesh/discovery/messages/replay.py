"""Memory against replay: which messages were seen already, and how far each sender's clock has come.

The two guard each other: a captured message that the bounded nonce memory has lost is older than its sender's last one.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.discovery.bounds import NONCES_MAX, SENDERS_MAX

# An envelope is fresh for 10 minutes either way (protocol notes, section 5): 20 minutes from the one end to the other.
NONCE_LIFETIME_S = 1200.0
OVERTAKEN_S = 60.0  # by the sender's own clock; a datagram is under way for some seconds at most


class Novelty(StrEnum):
    """What the nonce of a message says about it."""

    NEW = "new"
    REPEATED = "repeated"
    """The same bytes from the same address: upstream resends a HELLO up to 40 times."""
    REPLAYED = "replayed"
    """The same bytes from somewhere else."""


class NonceMemory:
    """Remembers authentic nonces and where each came from first."""

    def __init__(self, nonces_max: int = NONCES_MAX) -> None:
        self._nonces_max = nonces_max
        self._seen: OrderedDict[bytes, tuple[Endpoint, float]] = OrderedDict()

    def judge(self, nonce: bytes, source: Endpoint, now: float) -> Novelty:
        """Judges an authentic message and remembers it."""
        novelty = self.look(nonce, source, now)
        if novelty is Novelty.NEW:
            self._seen[nonce] = (source, now)
            if len(self._seen) > self._nonces_max:
                self._seen.popitem(last=False)
        return novelty

    def look(self, nonce: bytes, source: Endpoint, now: float) -> Novelty:
        """Judges an authentic message that may still be turned away for another reason."""
        self._expire(now)
        first = self._seen.get(nonce)
        if first is None:
            return Novelty.NEW
        return Novelty.REPEATED if first[0] == source else Novelty.REPLAYED

    def __len__(self) -> int:
        return len(self._seen)

    def _expire(self, now: float) -> None:
        while self._seen:
            nonce, (_, seen_at) = next(iter(self._seen.items()))
            if now - seen_at < NONCE_LIFETIME_S:
                return
            del self._seen[nonce]


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a message was made, by its sender's account.

    Upstream gives whole seconds. Our own nodes add the run of their process and a count within it.
    """

    timestamp: int
    boot: bytes = b""
    sequence: int = 0

    def is_before(self, other: Stamp) -> bool:
        if self.boot and self.boot == other.boot:
            return self.sequence < other.sequence
        return self.timestamp < other.timestamp


class SenderClocks:
    """The newest stamp of each sender, apart for what it has proven and for what was only said in its name.

    An unproven stamp costs nobody anything: it binds unproven messages alone, never beyond our own clock, and only by
    its time, since the run and the count of a member can be read and repeated by every other.
    """

    def __init__(self, senders_max: int = SENDERS_MAX) -> None:
        self._senders_max = senders_max // 2  # a flood of invented names pushes out no proven stamp
        self._proven: OrderedDict[PublicKey, Stamp] = OrderedDict()
        self._claimed: OrderedDict[PublicKey, Stamp] = OrderedDict()

    def __len__(self) -> int:
        return len(self._proven) + len(self._claimed)

    def newest(self, key: PublicKey) -> Stamp | None:
        """The newest that it has proven; where there is none, the newest in its name."""
        return self._proven.get(key) or self._claimed.get(key)

    def newest_proven(self, key: PublicKey) -> Stamp | None:
        return self._proven.get(key)

    def is_current(self, key: PublicKey, stamp: Stamp, is_proven: bool) -> bool:
        """Whether a message with this stamp may change what is known of its sender."""
        newest = (self._proven if is_proven else self._claimed).get(key)
        return newest is None or not stamp.is_before(newest)

    def is_recording(self, key: PublicKey, stamp: Stamp) -> bool:
        """Whether a proven message was overtaken by a later one of the same run for longer than any way takes.

        It passes for fresh where our clock was set back to its moment, and the nonces of that time are forgotten.
        """
        newest = self._proven.get(key)
        if newest is None or not stamp.boot or stamp.boot != newest.boot or stamp.sequence >= newest.sequence:
            return False
        return newest.timestamp - stamp.timestamp > OVERTAKEN_S

    def is_new_run(self, key: PublicKey, stamp: Stamp) -> bool:
        """Whether a known sender's process has started again: it may have forgotten everybody."""
        newest = self.newest(key)
        return newest is not None and bool(stamp.boot) and newest.boot != stamp.boot

    def advance(self, key: PublicKey, stamp: Stamp, clock_s: float, is_proven: bool) -> None:
        """Takes a stamp; messages of the same kind with older ones are not current from here on.

        `clock_s` is what our clock shows, in Unix seconds. Call it for current messages, and for one that
        answers us, even where its sender's clock went back.
        """
        kept = self._proven if is_proven else self._claimed
        kept[key] = stamp if is_proven else Stamp(min(stamp.timestamp, int(clock_s)), stamp.boot)
        kept.move_to_end(key)
        if len(kept) > self._senders_max:
            kept.popitem(last=False)
