"""Who left: so that second-hand news does not bring the dead back (weaknesses 1)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

from wgmesh.core.model import PublicKey
from wgmesh.core.wire.member_record import LIFETIME_S, SKEW_S
from wgmesh.discovery.bounds import TOMBSTONES_MAX

# Longer than the 10 minutes after which every member has dropped a silent peer, so nobody is left to speak of it.
TOMBSTONE_S = 900.0
RECORDS_S = LIFETIME_S + SKEW_S  # a DHT gives out what the departed has put there for as long as we would believe it


class Departure(StrEnum):
    """Why a peer left the table."""

    GOODBYE = "goodbye"
    SILENT = "silent"
    BANNED = "banned"
    DISPLACED = "displaced"
    """The table is full, and others have more right to a place. It has not left, so it may come back at any time."""


@dataclass(frozen=True, slots=True)
class _Tombstone:
    left_at: int  # on the peer's own clock for a goodbye, at most now unless that is proven: its later words are newer
    record_at: float  # steady time: records in a DHT that are not newer are from before the departure
    until: float
    gone_at: float


class Tombstones:
    """Remembers departed peers for 15 minutes, and for longer against what they have left in a DHT."""

    def __init__(self, tombstones_max: int = TOMBSTONES_MAX) -> None:
        self._tombstones_max = tombstones_max
        self._stones: OrderedDict[PublicKey, _Tombstone] = OrderedDict()

    def __len__(self) -> int:
        return len(self._stones)

    def bury(self, key: PublicKey, left_at: int, now: float, record_at: float | None = None) -> None:
        """Notes a departure. A record in a DHT is news only if it was made after `record_at`, by default `left_at`.

        `left_at` is a time of the peer's clock, `record_at` a steady one.
        """
        record_at = left_at if record_at is None else record_at
        self._stones[key] = _Tombstone(left_at, record_at, now + TOMBSTONE_S, now + RECORDS_S)
        self._stones.move_to_end(key)
        if len(self._stones) > self._tombstones_max:
            self._stones.popitem(last=False)

    def refuses_second_hand(self, key: PublicKey, now: float) -> bool:
        """Whether news from a third party about this peer is to be ignored."""
        return self._current(key, now) is not None

    def refuses_direct(self, key: PublicKey, timestamp: int, now: float, is_new_run: bool = False) -> bool:
        """Whether a message of the peer itself dates from before its departure.

        Within the second of its departure that cannot be told, unless its process has started again.
        """
        stone = self._current(key, now)
        if stone is None:
            return False
        return timestamp < stone.left_at if is_new_run else timestamp <= stone.left_at

    def refuses_record(self, key: PublicKey, issued_at: float, now: float) -> bool:
        """Whether a record of the peer in a DHT dates from before its departure. `issued_at` is a steady time."""
        stone = self._kept(key, now)
        return stone is not None and issued_at <= stone.record_at

    def revive(self, key: PublicKey) -> None:
        self._stones.pop(key, None)

    def _current(self, key: PublicKey, now: float) -> _Tombstone | None:
        stone = self._kept(key, now)
        return None if stone is None or now >= stone.until else stone

    def _kept(self, key: PublicKey, now: float) -> _Tombstone | None:
        stone = self._stones.get(key)
        if stone is not None and now >= stone.gone_at:
            del self._stones[key]
            return None
        return stone
