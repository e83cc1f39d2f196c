"""What waits for the shell: datagrams, events, and whether the table of peers is worth publishing."""

from __future__ import annotations

from collections import deque
from enum import StrEnum

from wgmesh.core.sansio import Transmit
from wgmesh.discovery.events import Event, PeersChanged

AGE_PUBLISH_S = 10.0  # how old a published age may be; a LAN of 20 nodes would else publish four times a second
OUTBOX_MAX = 8192  # the shell drains after a turn of 64 datagrams; this bounds what such a turn can make


class Change(StrEnum):
    """How much some news has changed the table."""

    NOTHING = "nothing"
    AGE = "age"
    """The same as before, only younger."""
    CONTENT = "content"
    NEW_PEER = "new-peer"


_WEIGHT = {change: weight for weight, change in enumerate(Change)}


def greater(one: Change, other: Change) -> Change:
    """The one of two changes that says more."""
    return one if _WEIGHT[one] >= _WEIGHT[other] else other


class Outbox:
    """What waits for the shell, and whether the table is worth publishing."""

    def __init__(self) -> None:
        self._transmits: deque[Transmit] = deque(maxlen=OUTBOX_MAX)
        self._events: deque[Event] = deque(maxlen=OUTBOX_MAX)
        self._is_changed = False
        self._publish_at: float | None = None
        self.revision = 0
        self.content_revision = 0
        """Grows with every change of the table that is more than age."""

    def send(self, transmit: Transmit) -> None:
        self._transmits.append(transmit)

    def report(self, event: Event) -> None:
        self._events.append(event)

    def note(self, change: Change, now: float) -> None:
        """Notes a change of the table: content is published with this turn, mere age within seconds."""
        if change in (Change.CONTENT, Change.NEW_PEER):
            self._is_changed = True
            self.content_revision += 1
        elif change is Change.AGE and self._publish_at is None:
            self._publish_at = now + AGE_PUBLISH_S

    def publish(self) -> None:
        """Notes that something besides the table has changed."""
        self._is_changed = True

    def settle(self, now: float) -> None:
        """Ends a turn: at most one publication."""
        if self._is_changed or (self._publish_at is not None and now >= self._publish_at):
            self._is_changed, self._publish_at = False, None
            self.revision += 1
            self.report(PeersChanged())

    def poll_transmit(self) -> Transmit | None:
        return self._transmits.popleft() if self._transmits else None

    def poll_event(self) -> Event | None:
        return self._events.popleft() if self._events else None

    def poll_timeout(self) -> float | None:
        return self._publish_at
