"""The look-ups of one node of the private DHT: reading what lies at a key, storing there, and finding neighbours."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from wgmesh.core.model import Endpoint
from wgmesh.discovery.private_calls import Calls
from wgmesh.discovery.private_contacts import Contact
from wgmesh.discovery.private_lookup import Lookup
from wgmesh.discovery.private_message import Kind, Message

MAX_SEARCHES = 32  # at a time: a whole roster is read at once
MAX_WAITING = 256  # what comes beyond is answered at once with what this node has itself


@dataclass(eq=False, slots=True)
class Search:
    """One look-up. With a `value` it is stored at the nodes that are found."""

    target: int
    kind: Kind
    key: bytes
    then: Callable[[Search], None]
    value: bytes = field(default=b"", repr=False)
    found: dict[bytes, None] = field(default_factory=dict, repr=False)
    """All distinct values that were found."""
    kept_count: int = 0
    """How many nodes say that they keep the value."""


@dataclass(eq=False, slots=True)
class _Running:
    search: Search
    lookup: Lookup
    wake_at: float
    is_storing: bool = False
    unanswered: int = 0


class Searching:
    """Runs searches. `start` gives the contacts to begin with; `named` makes contacts of the endpoints in an answer."""

    def __init__(
        self,
        calls: Calls,
        start: Callable[[int], Iterable[Contact]],
        named: Callable[[Message, Endpoint, float], Iterable[Contact]],
        failed: Callable[[Contact, float], None],
    ) -> None:
        self._calls = calls
        self._start = start
        self._named = named
        self._failed = failed
        self._running: list[_Running] = []
        self._waiting: deque[Search] = deque()

    def add(self, search: Search, now: float) -> None:
        """Starts a search, or lets it wait. `search.then` is called once, perhaps at once."""
        if len(self._running) < MAX_SEARCHES:
            self._begin(search, now)
        elif len(self._waiting) < MAX_WAITING:
            self._waiting.append(search)
        else:
            search.then(search)

    def handle_timeout(self, now: float) -> None:
        for running in list(self._running):
            if now >= running.wake_at and running in self._running:
                self._step(running, now)
        while self._waiting and len(self._running) < MAX_SEARCHES:
            self._begin(self._waiting.popleft(), now)

    def poll_timeout(self) -> float | None:
        if self._waiting and len(self._running) < MAX_SEARCHES:
            return 0.0  # one has ended and the next begins
        return min((running.wake_at for running in self._running), default=None)

    def _begin(self, search: Search, now: float) -> None:
        lookup = Lookup(search.target, self._start(search.target), now)
        running = _Running(search, lookup, lookup.deadline)
        self._running.append(running)
        self._step(running, now)

    def _step(self, running: _Running, now: float) -> None:
        lookup, search = running.lookup, running.search
        for contact in lookup.next_contacts(now):
            then = partial(self._take, running, contact)
            self._calls.start(search.kind, contact.endpoint, then, now, search.key)
        if not lookup.is_done(now):
            running.wake_at = lookup.wake_at(now)
        elif search.value and (closest := lookup.closest()):
            self._store(running, closest, now)
        else:
            self._end(running)

    def _take(self, running: _Running, contact: Contact, answer: Message | None, now: float) -> None:
        if answer is None:
            self._failed(contact, now)
            running.lookup.failed(contact)
        else:
            running.lookup.answered(contact)
            running.lookup.learn(self._named(answer, contact.endpoint, now))
            if answer.value:
                running.search.found[answer.value] = None
        if running in self._running and not running.is_storing:
            self._step(running, now)

    def _store(self, running: _Running, closest: list[Contact], now: float) -> None:
        running.is_storing = True
        running.unanswered = len(closest)
        running.wake_at = float("inf")  # every call ends
        search = running.search
        for contact in closest:
            then = partial(self._count, running, contact)
            self._calls.start(Kind.STORE, contact.endpoint, then, now, search.key, search.value)

    def _count(self, running: _Running, contact: Contact, answer: Message | None, now: float) -> None:
        if answer is None:
            self._failed(contact, now)
        else:
            running.search.kept_count += answer.is_kept
        running.unanswered -= 1
        if not running.unanswered:
            self._end(running)

    def _end(self, running: _Running) -> None:
        self._running.remove(running)
        running.search.then(running.search)
