"""What comes into the private DHT and what goes out: sealing, opening, and who may cost us work.

What opens comes from a member and costs a little of that host's share. What does not open is charged to one purse for
strangers and one for hosts that we know, so that a flood from anywhere else does not silence the mesh.
"""

from __future__ import annotations

from collections.abc import Callable

from wgmesh.core.datagram_seal import NONCE_BYTES, looks_sealed, seal, unseal
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.core.ratelimit import RateLimiter, TokenBucket
from wgmesh.discovery.private_contacts import host_group
from wgmesh.discovery.private_message import Message, decode, encode
from wgmesh.discovery.replay import NonceMemory, Novelty

# To find out that a datagram does not open costs about 10 us: a flood takes half a percent of a core.
REJECTED_RATE = 500.0
REJECTED_BURST = 1000
# Requests of one host. A member that starts asks each node for 32 names, and several may stand behind one NAT.
REQUEST_RATE = 200.0
REQUEST_BURST = 800
MAX_SOURCES = 1024  # four times the contacts


class Door:
    """Seals and opens. `rejected_count` is what came and was dropped."""

    def __init__(self, key: bytes, random_bytes: Callable[[int], bytes]) -> None:
        self._key = key
        self._random_bytes = random_bytes
        self._strangers = TokenBucket(REJECTED_RATE, REJECTED_BURST)
        self._acquainted = TokenBucket(REJECTED_RATE, REJECTED_BURST)
        self._requests: RateLimiter[bytes] = RateLimiter(REQUEST_RATE, REQUEST_BURST, MAX_SOURCES)
        self._nonces = NonceMemory()
        self.rejected_count = 0

    def close(self, message: Message, now: float) -> bytes:
        """Returns the sealed datagram."""
        return seal(encode(message), self._key, self._random_bytes(NONCE_BYTES), now)

    def open(self, datagram: bytes, source: Endpoint, is_known: bool, now: float) -> Message | None:
        """Returns what a member says for the first time, or None. `is_known`: whether we have to do with that host."""
        message = self._opened(datagram, source, is_known, now) if looks_sealed(datagram) else None
        if message is None:
            self.rejected_count += 1
        return message

    def _opened(self, datagram: bytes, source: Endpoint, is_known: bool, now: float) -> Message | None:
        purse = self._acquainted if is_known else self._strangers
        if not purse.holds(now):
            return None
        try:
            unsealed = unseal(datagram, self._key, now)
            message = decode(unsealed.payload)
        except MalformedMessage:
            purse.take(now)
            return None
        if self._nonces.judge(unsealed.nonce, source, now) is not Novelty.NEW:
            purse.take(now)
            return None
        if not message.kind.is_answer and not self._requests.allows(host_group(source), now):
            return None
        return message
