"""The Mainline DHT as one table: it takes its time, answers in parts, and believes everybody, as the real one does.

A partition of the simulated network does not cut it: what is announced there can be found from everywhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from nacl.bindings import crypto_sign_seed_keypair
from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.discovery.dht import (
    Announce,
    Bootstrapped,
    DhtRequest,
    GetItem,
    ItemFound,
    ItemMissing,
    ItemStored,
    LookUp,
    MainlineEvent,
    NodesCounted,
    PeersFound,
    PutItem,
)
from wgmesh.sim.chance import Chance
from wgmesh.sim.scheduler import Scheduler

REPLIES = 8  # nodes nearest to an id that hold what is announced under it (BEP 5: K)
ANSWER_MAX = 50  # peers of one reply: what fits into a datagram
LOOKUP_S = 1.5  # measured in a small swarm: 0.5 s to 1.1 s; the real one is slower
BOOTSTRAP_S = 1.0
NODES = 200  # a full routing table
LIFETIME_S = 1800.0  # nodes of the Mainline DHT forget an announcement after 30 minutes or so

Answer = Callable[[MainlineEvent], None]


class SimDht:
    """Answers the requests of all members. A reply names a random choice, as those of a swarm of many members do."""

    def __init__(self, scheduler: Scheduler, chance: Chance, lookup_s: float = LOOKUP_S) -> None:
        self._scheduler = scheduler
        self._chance = chance
        self._lookup_s = lookup_s
        self._announced: dict[bytes, dict[Endpoint, float]] = {}
        self._items: dict[tuple[bytes, bytes], bytes] = {}
        self.request_count = 0

    def join(self, answer: Answer) -> None:
        """Begins a session."""
        self._later(BOOTSTRAP_S, answer, NodesCounted(NODES), Bootstrapped())

    def ask(self, request: DhtRequest, host: IPAddress, answer: Answer) -> None:
        """Does what is asked by a node at `host`. `answer` is called later, perhaps several times."""
        self.request_count += 1
        delay_s = self._lookup_s * (0.5 + self._chance.unit())
        self._scheduler.call_later(delay_s, lambda: self._do(request, host, answer))

    def _do(self, request: DhtRequest, host: IPAddress, answer: Answer) -> None:
        match request:
            case Announce(infohash, port):
                self._announced.setdefault(infohash, {})[Endpoint(host, port)] = self._scheduler.now
                self._reply(infohash, answer)
            case LookUp(infohash):
                self._reply(infohash, answer)
            case PutItem(seed, salt, value):
                public_key = _public_key(seed)
                self._items[public_key, salt] = value
                answer(ItemStored(public_key, salt, 1, REPLIES))
            case GetItem(public_key, salt):
                found = self._items.get((public_key, salt))
                answer(ItemMissing(public_key, salt) if found is None else ItemFound(public_key, salt, found, 1))

    def _reply(self, infohash: bytes, answer: Answer) -> None:
        """All nodes that hold the list reply at about one time, each with its own choice."""
        now = self._scheduler.now
        current = [each for each, at in self._announced.get(infohash, {}).items() if now - at < LIFETIME_S]
        replies = REPLIES if len(current) > ANSWER_MAX else 1  # else all say the same
        for _ in range(replies if current else 0):
            answer(PeersFound(infohash, self._choose(current)))

    def _choose(self, endpoints: list[Endpoint]) -> tuple[Endpoint, ...]:
        size = len(endpoints)
        for place in range(min(ANSWER_MAX, size)):  # the first steps of Fisher's and Yates' shuffle
            other = place + self._chance.integer() % (size - place)
            endpoints[place], endpoints[other] = endpoints[other], endpoints[place]
        return tuple(endpoints[:ANSWER_MAX])

    def _later(self, delay_s: float, answer: Answer, *events: MainlineEvent) -> None:
        def tell() -> None:
            for event in events:
                answer(event)

        self._scheduler.call_later(delay_s, tell)


@functools.lru_cache(16)
def _public_key(seed: bytes) -> bytes:
    return bytes(crypto_sign_seed_keypair(seed)[0])
