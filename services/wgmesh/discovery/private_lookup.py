"""One search for the nodes that are closest to a key.

The package's crawl waits for the slowest of each round, so that a few dead nodes cost a time-out each round. Here a
node that is slow to answer no longer holds up the next one, and at the end all dead ones have been waited for at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

from wgmesh.discovery.private_contacts import Contact, K, spread

ALPHA = 3  # kademlia's concurrency
SLOW_S = 0.25  # more than a round trip across an ocean
DEADLINE_S = 5.0  # whatever is known then is the answer
MAX_ASKED = 40  # five times k: a member that invents ever closer nodes ends here
MAX_CANDIDATES = 128


class _State(Enum):
    NEW = auto()
    ASKED = auto()
    ANSWERED = auto()
    FAILED = auto()


class Lookup:
    """Says whom to ask next, and when it is done. `target` is a position; `now` is seconds, never decreasing."""

    def __init__(self, target: int, start: Iterable[Contact], now: float) -> None:
        self.target = target
        self.deadline = now + DEADLINE_S
        self._contacts: dict[bytes, Contact] = {}
        self._states: dict[bytes, _State] = {}
        self._asked_at: dict[bytes, float] = {}
        self.learn(start)

    def learn(self, contacts: Iterable[Contact]) -> None:
        """Takes nodes that somebody named."""
        for contact in contacts:
            if len(self._contacts) < MAX_CANDIDATES and contact.id not in self._contacts:
                self._contacts[contact.id] = contact
                self._states[contact.id] = _State.NEW

    def next_contacts(self, now: float) -> list[Contact]:
        """Returns whom to ask now, and takes it that they are asked."""
        asked = [self._asked_at[id_] for id_, state in self._states.items() if state is _State.ASKED]
        quick = sum(now < asked_at + SLOW_S for asked_at in asked)
        asking = []
        # Slow ones may be dead, and those who would take their places then are asked already.
        for contact in self._shortlist(K + len(asked) - quick):
            if quick >= ALPHA or len(self._asked_at) >= MAX_ASKED:
                break
            if self._states[contact.id] is _State.NEW:
                self._states[contact.id] = _State.ASKED
                self._asked_at[contact.id] = now
                asking.append(contact)
                quick += 1
        return asking

    def answered(self, contact: Contact) -> None:
        self._states[contact.id] = _State.ANSWERED

    def failed(self, contact: Contact) -> None:
        self._states[contact.id] = _State.FAILED

    def is_done(self, now: float) -> bool:
        """Whether all that matter have answered, or time is up. Ask `next_contacts` first."""
        if now >= self.deadline:
            return True
        states = {self._states[contact.id] for contact in self._shortlist(K)}
        if _State.ASKED in states:
            return False
        return _State.NEW not in states or len(self._asked_at) >= MAX_ASKED

    def wake_at(self, now: float) -> float:
        """Returns when somebody who was asked counts as slow, or the deadline."""
        slow = (
            self._asked_at[id_] + SLOW_S
            for id_, state in self._states.items()
            if state is _State.ASKED and self._asked_at[id_] + SLOW_S > now
        )
        return min(slow, default=self.deadline)

    def closest(self) -> list[Contact]:
        """Returns the closest nodes that have answered, nearest first."""
        return spread(
            (self._contacts[id_] for id_, state in self._states.items() if state is _State.ANSWERED), self.target
        )

    def _shortlist(self, count: int) -> list[Contact]:
        alive = (self._contacts[id_] for id_, state in self._states.items() if state is not _State.FAILED)
        return spread(alive, self.target, count)
