"""Members that we have met and do not reach: when to put our record for each, and look for theirs. Pure.

Both of two who miss each other do the same, so the records cross. Nothing here has a timer: the turns are those of the
look-ups, which are seldom in a mesh that works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from wgmesh.core.backoff import delays
from wgmesh.core.model import PublicKey

# A member that was restored from the cache, or has just moved, mostly answers within seconds.
FIRST_S = 15.0
LAST_S = 900.0
PUT_S = 1800.0  # as other records
AT_A_TIME = 4  # a record put and looked up for two hours is some sixty datagrams
GAP_S = 10.0  # the look-ups of a node that knows nobody come faster
MISSED_MAX = 1000  # the peer table's cap


@dataclass(slots=True)
class _Member:
    pauses: Iterator[float]
    next_at: float
    put_at: float | None = None
    put_revision: int = -1
    is_stored: bool = False


class Missed:
    """Remembers how often each was looked for."""

    def __init__(self, random_unit: Callable[[], float]) -> None:
        """`random_unit` gives floats in 0..1."""
        self._random_unit = random_unit
        self._members: dict[PublicKey, _Member] = {}
        self._next_at = float("-inf")

    def due(self, now: float, missed: Iterable[PublicKey], revision: int) -> list[tuple[PublicKey, bool]]:
        """Returns whom to look for now, and whether to put our record for each: once in a while, and when it is new.

        `missed` are all that are missed now; the others are forgotten. `revision` is that of what we say of ourselves.
        """
        before = self._members
        self._members = {
            key: before.get(key) or self._begin(now) for key, _ in zip(missed, range(MISSED_MAX), strict=False)
        }
        if now < self._next_at:
            return []
        waiting = sorted(
            (member.next_at, key.raw, key) for key, member in self._members.items() if now >= member.next_at
        )
        if waiting:
            self._next_at = now + GAP_S
        return [(key, self._visit(self._members[key], now, revision)) for _, _, key in waiting[:AT_A_TIME]]

    def stored(self, key: PublicKey) -> None:
        """Takes it that nodes of the DHT keep what was put for a member. Until then it is put at every visit."""
        if (member := self._members.get(key)) is not None:
            member.is_stored = True

    def _begin(self, now: float) -> _Member:
        pauses = delays(FIRST_S, LAST_S, self._random_unit)
        return _Member(pauses, now + next(pauses))

    def _visit(self, member: _Member, now: float, revision: int) -> bool:
        member.next_at = now + next(member.pauses)
        is_old = member.put_at is None or now - member.put_at >= PUT_S
        must_put = is_old or not member.is_stored or member.put_revision != revision
        if must_put:
            member.put_at, member.put_revision, member.is_stored = now, revision, False
        return must_put
