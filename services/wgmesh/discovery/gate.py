"""Who may cost us work, and how much.

Before decryption a source address pays, generously, because many members may stand behind one NAT. All sources together
pay once more, because sources can be forged. After authentication each member pays for itself.
"""

from __future__ import annotations

from wgmesh.core.envelope import MAX_DATAGRAM_BYTES
from wgmesh.core.model import IPAddress, PublicKey
from wgmesh.core.ratelimit import RateLimiter

# A Go node resends its HELLO ten times a second (protocol notes, BUG 25): ten of them behind one NAT, and some more.
SOURCE_RATE = 100.0
SOURCE_BURST = 200
SOURCES_MAX = 4096  # upstream's bound
# Opening costs about 50 us, so a flood from any number of forged sources takes at most 5 % of one core.
TOTAL_RATE = 1000.0
TOTAL_BURST = 2000
MEMBER_RATE = 30.0  # a Go node that punches sends 10/s to each of our addresses
MEMBER_BURST = 60
MEMBERS_MAX = 2048  # twice the peer table
# `wgmesh test-peer` asks twice a second. A probe names no member, so the address pays, and several may stand behind it.
PROBE_RATE = 10.0
PROBE_BURST = 20
SMALLEST_ENVELOPE_BYTES = 90  # frame, nonce and tag of an empty message


class Gate:
    """Token buckets for sources, for all of them together, for members, and for those who only ask."""

    def __init__(self) -> None:
        self._sources: RateLimiter[IPAddress] = RateLimiter(SOURCE_RATE, SOURCE_BURST, SOURCES_MAX)
        self._total: RateLimiter[None] = RateLimiter(TOTAL_RATE, TOTAL_BURST, 1)
        self._members: RateLimiter[PublicKey] = RateLimiter(MEMBER_RATE, MEMBER_BURST, MEMBERS_MAX)
        self._probes: RateLimiter[IPAddress] = RateLimiter(PROBE_RATE, PROBE_BURST, SOURCES_MAX)

    def looks_like_envelope(self, data: bytes) -> bool:
        """Whether decryption is worth a try: the first byte tells our messages from STUN and DHT."""
        return data[:1] == b"{" and SMALLEST_ENVELOPE_BYTES <= len(data) <= MAX_DATAGRAM_BYTES

    def admits_source(self, host: IPAddress, now: float) -> bool:
        return self._sources.admit(host, now).allowed and self._total.admit(None, now).allowed

    def admits_member(self, key: PublicKey, now: float) -> bool:
        return self._members.admit(key, now).allowed

    def admits_probe(self, host: IPAddress, now: float) -> bool:
        return self._probes.admit(host, now).allowed
