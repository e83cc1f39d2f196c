"""Where members that share no LAN find a first address: a lookup that takes its time, simulated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from wgmesh.core.model import Endpoint
from wgmesh.sim.chance import Chance
from wgmesh.sim.scheduler import Scheduler

ANSWER_MAX = 50  # what fits into the answers of the few nodes that are asked (BEP 5)
LOOKUP_S = 1.5  # measured in a small swarm: 0.5 s to 1.1 s; the real one is slower
LIFETIME_S = 1800.0  # nodes of the Mainline DHT forget an announcement after 30 minutes or so


class Lookups(Protocol):
    """What a member asks for the addresses of others. A name stands for an info hash."""

    def announce(self, name: bytes, endpoint: Endpoint) -> None: ...

    def find(self, name: bytes, found: Callable[[list[Endpoint]], None]) -> None:
        """Calls `found` later, with the addresses that were announced."""


class SimDht:
    """A DHT as one table. It answers with a random choice, as a swarm of many members does."""

    def __init__(self, scheduler: Scheduler, chance: Chance, lookup_s: float = LOOKUP_S) -> None:
        self._scheduler = scheduler
        self._chance = chance
        self._lookup_s = lookup_s
        self._announced: dict[bytes, dict[Endpoint, float]] = {}

    def announce(self, name: bytes, endpoint: Endpoint) -> None:
        self._scheduler.call_later(self._lookup_s, lambda: self._store(name, endpoint))

    def find(self, name: bytes, found: Callable[[list[Endpoint]], None]) -> None:
        delay_s = self._lookup_s * (0.5 + self._chance.unit())
        self._scheduler.call_later(delay_s, lambda: found(self._choose(name)))

    def _store(self, name: bytes, endpoint: Endpoint) -> None:
        self._announced.setdefault(name, {})[endpoint] = self._scheduler.now

    def _choose(self, name: bytes) -> list[Endpoint]:
        now = self._scheduler.now
        current = [each for each, at in self._announced.get(name, {}).items() if now - at < LIFETIME_S]
        for place in range(len(current) - 1, 0, -1):  # Fisher and Yates
            other = self._chance.integer() % (place + 1)
            current[place], current[other] = current[other], current[place]
        return current[:ANSWER_MAX]
