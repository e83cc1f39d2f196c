"""From a datagram of the private DHT to what a member says, or to nothing; and what we say to a datagram."""

from __future__ import annotations

from collections.abc import Callable

from wgmesh.core.clock import WallClock
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.core.recent import Recent
from wgmesh.core.wire.datagram_seal import NONCE_BYTES, looks_sealed, seal, unseal
from wgmesh.core.wire.dht_message import Answer, Request, decode, encode
from wgmesh.discovery.messages.rate_limits import RateLimits
from wgmesh.discovery.messages.replay import NonceMemory, Novelty

# All datagrams of one host. A member that starts asks each node for 32 names, and several may stand behind one NAT.
HOST_RATE = 200.0
HOST_BURST = 800
PROVEN_S = 3600.0  # nodes are asked twice as often
PROVEN_MAX = 4096


class DhtInbox:
    """What it opens comes from a member, and for the first time. `rejected_count` is what came and was dropped."""

    def __init__(self, key: bytes, random_bytes: Callable[[int], bytes], wall: WallClock | None = None) -> None:
        self._wall = wall or WallClock()
        self._key = key
        self._random_bytes = random_bytes
        self._rates = RateLimits(HOST_RATE, HOST_BURST)
        self._nonces = NonceMemory()
        self._proven_until: Recent[Endpoint, float] = Recent(PROVEN_MAX)
        self.rejected_count = 0

    def seal(self, message: Request | Answer, now: float) -> bytes:
        """Returns the datagram."""
        return seal(encode(message), self._key, self._random_bytes(NONCE_BYTES), self._wall.at(now))

    def open(self, datagram: bytes, source: Endpoint, now: float) -> Request | Answer | None:
        """Returns what a member says, or None."""
        if looks_sealed(datagram) and self._rates.admits_source(source.host, now):
            try:
                opened = unseal(datagram, self._key, self._wall.at(now))
                if self._nonces.judge(opened.nonce, source, now) is Novelty.NEW:
                    return decode(opened.payload)
            except MalformedMessage:
                pass  # of a stranger, of another time, or damaged: it is counted, and not worth more
        self.rejected_count += 1
        return None

    def prove(self, source: Endpoint, now: float) -> None:
        """Takes it that an address receives what we send there: floods of strangers do not silence its host."""
        self._proven_until.note(source, now + PROVEN_S)
        self._rates.trust(source.host, now + PROVEN_S)

    def is_proven(self, source: Endpoint, now: float) -> bool:
        """Whether a long answer may go there: the source of a question may be forged."""
        return now < self._proven_until.get(source, now)
