"""The values that this node keeps for the private DHT: bounded in number, size, age and by who wrote them.

The semantics of kademlia's storage, with four differences: time is an argument, a value that is worse than the old one
is refused, one writer cannot push out everybody else's values, and nobody republishes but the writer itself, so that
what a member has stored goes two hours after the member.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

KEY_BYTES = (20, 32)
MAX_VALUE_BYTES = 900  # a member's record at its longest; with eight IPv6 contacts it fits into one datagram
MAX_VALUES = 4096  # 4 MB at most; a mesh of 1000 members keeps few values each
LIFETIME_S = 7200.0  # who publishes every hour survives one lost round; what nobody publishes goes
# One address can fill an eighth. A member hands over at most what it is closest to, which is far less.
MAX_VALUES_OF_SOURCE = 512

Judge = Callable[[bytes, bytes | None, bytes], bool]
"""`judge(key, old, new)`: whether `new` may stand in the place of `old`, or of nothing. Pure, never raises."""


@dataclass(slots=True)
class _Entry:
    value: bytes = field(repr=False)
    source: Hashable
    written_at: float


class PrivateStore:
    """Values by key, oldest write first. `source` says who wrote: the one whose share it counts against."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._keys_of: defaultdict[Hashable, OrderedDict[bytes, None]] = defaultdict(OrderedDict)

    def write(self, key: bytes, value: bytes, source: Hashable, now: float) -> bool:
        """Keeps `value` at `now` (seconds, never decreasing) if it may replace what is there; says whether it is kept.

        The same value again is as good as new, and stays with its first writer. The oldest value of a writer with too
        many goes first, then the oldest of all.
        """
        if len(key) not in KEY_BYTES or not 0 < len(value) <= MAX_VALUE_BYTES:
            return False
        self._expire(now)
        old = self._entries.get(key)
        if old is not None and old.value == value:
            source = old.source
        elif not self._judge(key, None if old is None else old.value, value):
            return False
        self._remove(key)
        self._entries[key] = _Entry(value, source, now)
        theirs = self._keys_of[source]
        theirs[key] = None
        if len(theirs) > MAX_VALUES_OF_SOURCE:
            self._remove(next(iter(theirs)))
        if len(self._entries) > MAX_VALUES:
            self._remove(next(iter(self._entries)))
        return True

    def read(self, key: bytes, now: float) -> bytes | None:
        """Returns the value, or None where there is none of the last two hours."""
        self._expire(now)
        entry = self._entries.get(key)
        return None if entry is None else entry.value

    def __len__(self) -> int:
        return len(self._entries)

    def _expire(self, now: float) -> None:
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if now - entry.written_at < LIFETIME_S:
                return
            self._remove(key)

    def _remove(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        theirs = self._keys_of[entry.source]
        del theirs[key]
        if not theirs:
            del self._keys_of[entry.source]
