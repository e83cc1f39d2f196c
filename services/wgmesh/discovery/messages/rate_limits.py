"""Who may cost us work, and how much.

Before decryption a source address pays, generously, because many members may stand behind one NAT. All sources together
pay once more, because sources can be forged. Addresses that have answered us pay from a purse of their own, so that a
flood from anywhere else does not silence the mesh. After authentication each member pays for itself.
"""

from __future__ import annotations

from collections import OrderedDict

from wgmesh.core.model import IPAddress, PublicKey
from wgmesh.core.ratelimit import RateLimiter, TokenBucket
from wgmesh.core.wire.envelope import MAX_DATAGRAM_BYTES

# A Go node resends its HELLO ten times a second (protocol notes, BUG 25): ten of them behind one NAT, and some more.
SOURCE_RATE = 100.0
SOURCE_BURST = 200
SOURCES_MAX = 4096  # upstream's bound
# Finding out that a datagram is not ours costs about 10 us, so a flood from any number of forged sources takes some 4 %
# of a core. A newcomer has to get through it: of 20,000 a second one in five is looked at, and a node says HELLO six
# times.
STRANGERS_RATE = 4000.0
STRANGERS_BURST = 4000
# All members together: 300 that each say something ten times a second, which is what a restart of many looks like.
TRUSTED_RATE = 3000.0
TRUSTED_BURST = 3000
TRUSTED_MAX = 4096  # twice the peer table, for peers that are known at an address outside and one inside the tunnel
ANSWER_TRUST_S = 3 * 3600.0  # peers at rest hear from us every two hours
PROVEN_TRUST_S = 300.0  # WireGuard renews its proof every two minutes
# What is longer than this costs more to open: the longest possible one 32 times as much. Our own nodes send at most
# 1200 bytes, Go nodes more once they know some peers, so what long ones of strangers cost is taken from a purse of
# their own: the HELLO of a newcomer does not wait behind them.
COST_BYTES = 2048
LONG_RATE = 400.0
LONG_BURST = 800
MEMBER_RATE = 30.0  # a Go node that punches sends 10/s to each of our addresses
MEMBER_BURST = 60
MEMBERS_MAX = 2048  # twice the peer table
# `wgmesh test-peer` asks twice a second. A probe names no member, so the address pays, and several may stand behind it.
PROBE_RATE = 10.0
PROBE_BURST = 20
SMALLEST_ENVELOPE_BYTES = 90  # frame, nonce and tag of an empty message

_LINK_LOCAL = 0xFE80 << 48  # the upper half of fe80::/64, in which every host of a link lies


Speaker = tuple[PublicKey, "IPAddress | int"]  # a name, and the host that speaks in it


class RateLimits:
    """Token buckets for sources, for all of them together, for members, and for those who only ask."""

    def __init__(self, source_rate: float = SOURCE_RATE, source_burst: float = SOURCE_BURST) -> None:
        self._sources: RateLimiter[IPAddress | int] = RateLimiter(source_rate, source_burst, SOURCES_MAX)
        self._strangers = TokenBucket(STRANGERS_RATE, STRANGERS_BURST)
        self._long = TokenBucket(LONG_RATE, LONG_BURST)
        self._trusted_sources: RateLimiter[IPAddress] = RateLimiter(source_rate, source_burst, TRUSTED_MAX)
        self._trusted_total = TokenBucket(TRUSTED_RATE, TRUSTED_BURST)
        self._trusted: OrderedDict[IPAddress, float] = OrderedDict()
        self._members: RateLimiter[Speaker] = RateLimiter(MEMBER_RATE, MEMBER_BURST, MEMBERS_MAX)
        self._repeats: RateLimiter[Speaker] = RateLimiter(MEMBER_RATE, MEMBER_BURST, MEMBERS_MAX)
        self._probes: RateLimiter[IPAddress | int] = RateLimiter(PROBE_RATE, PROBE_BURST, SOURCES_MAX)

    def trust(self, host: IPAddress, until: float) -> None:
        """Lets an address pay apart from strangers until then: it has answered us, or is about to.

        Only for addresses that receive what we send there. A HELLO proves nothing of the kind, since its source may be
        forged. The address that was trusted longest ago is forgotten first.
        """
        self._trusted[host] = max(until, self._trusted.pop(host, until))
        if len(self._trusted) > TRUSTED_MAX:
            self._trusted.popitem(last=False)

    def looks_like_envelope(self, data: bytes) -> bool:
        """Whether decryption is worth a try: the first byte tells our messages from STUN and DHT."""
        return data[:1] == b"{" and SMALLEST_ENVELOPE_BYTES <= len(data) <= MAX_DATAGRAM_BYTES

    def admits_source(self, host: IPAddress, now: float, size: int = 0) -> bool:
        """Whether a datagram of `size` bytes may be opened."""
        cost = 1 + size // COST_BYTES
        until = self._trusted.get(host)
        if until is not None and now < until:
            return self._trusted_sources.allows(host, now) and self._trusted_total.take(now, cost)
        # The purse first, which costs nothing in a flood; but only a source that may still speak takes from it.
        purse = self._strangers if cost == 1 else self._long
        return purse.holds(now, cost) and self._sources.allows(host_of(host), now) and purse.take(now, cost)

    def admits_member(self, key: PublicKey, host: IPAddress, now: float) -> bool:
        """Whether a member may say something more. From elsewhere another may speak in its name, at its own cost."""
        return self._members.allows((key, host_of(host)), now)

    def admits_repeat(self, key: PublicKey, host: IPAddress, now: float) -> bool:
        """Whether bytes of a member that were seen before may be answered again.

        Anybody who has captured them can repeat them, so they are not paid from what the member itself may say.
        """
        return self._repeats.allows((key, host_of(host)), now)

    def admits_probe(self, host: IPAddress, now: float) -> bool:
        return self._probes.allows(host_of(host), now)


def host_of(host: IPAddress) -> IPAddress | int:
    """Who pays for an address: of IPv6 a whole /64, since a single host may use all of it."""
    if host.version == 4:
        return host
    network = int(host) >> 64
    return host if network == _LINK_LOCAL else network
