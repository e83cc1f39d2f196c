"""How often WireGuard may knock at addresses that have never answered.

The kind of harm: a member can name any address as where a peer is reached, and invent any number of peers. Each peer
with an endpoint makes the device send an initiation of 148 bytes there, and again every 5 s. So an address that has
never answered is tried with care, no matter who names it:

- Each place gets two tries, then one after 30 s, and each time after twice as long, up to ten minutes. A place is one
  address, or one /64 of IPv6, which has one owner; all its ports, and all peers said to be there, count together.
- A try is one initiation: the endpoint is taken away again before WireGuard would repeat it after 5 s.
- At most 8 peers are tried at a time who have given no sign that they hold their key, and at most 64 of the others, who
  have proven to us that they do: their number is what members can make, too, and costs a message each.

Who has answered us, or has had a handshake, at the very address that is tried is no stranger there, and has no limits.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

from wgmesh.core.model import Candidate, CandidateSource, IPAddress, IPNetwork, Peer, PublicKey
from wgmesh.core.network_index import owner_network

UNPROVEN_MAX = 8
POSSESSING_MAX = 64
FREE_TRIES = 2  # the first often comes before the responder is ready
TRY_S = (0.5, 2.5)  # a first try, and the others: a reply takes a round trip, and WireGuard repeats after 5 s
BACKOFF_S = 30.0
BACKOFF_MAX_S = 600.0
JITTER = 0.25  # of a wait, so that nodes that heard the same lie do not knock together
PLACES_MAX = 4096  # the tries at 8 + 64 at a time take minutes to fill this, and whole waits are over by then


@dataclass(frozen=True, slots=True)
class _Tries:
    """What was tried at one place."""

    count: int
    next_at: float


class Strangers:
    """Who is being tried, and what was tried where. The attempts themselves are the handshake table's."""

    def __init__(self, own_key: PublicKey) -> None:
        self._own_key = own_key
        self._trying: dict[PublicKey, tuple[bool, float]] = {}
        self._tries: OrderedDict[IPNetwork | IPAddress, _Tries] = OrderedDict()

    def may_try(self, peer: Peer, candidate: Candidate, now: float) -> bool:
        """Whether one initiation may be sent to this candidate now."""
        return self.due_at(peer, candidate, now) <= now

    def due_at(self, peer: Peer, candidate: Candidate, now: float) -> float:
        """When one initiation may be sent there, if nobody else is faster."""
        self._trying = {key: each for key, each in self._trying.items() if each[1] > now}
        tries = self._tries.get(_place(candidate))
        place_at = now if tries is None else tries.next_at
        is_somebody = is_possessing(peer)
        ends = sorted(until for somebody, until in self._trying.values() if somebody is is_somebody)
        most = POSSESSING_MAX if is_somebody else UNPROVEN_MAX
        room_at = ends[len(ends) - most] if len(ends) >= most and peer.public_key not in self._trying else now
        return max(now, place_at, room_at)

    def note_try(self, peer: Peer, candidate: Candidate, now: float) -> float:
        """Counts one initiation. Returns until when the peer keeps its endpoint."""
        place = _place(candidate)
        tries = self._tries.pop(place, _Tries(0, now))
        count = tries.count + 1
        until = now + TRY_S[min(count, len(TRY_S)) - 1]
        wait_s = 0.0 if count < FREE_TRIES else self._backoff_s(place, count)
        self._tries[place] = _Tries(count, until + wait_s)
        if len(self._tries) > PLACES_MAX:
            self._tries.popitem(last=False)
        self._trying[peer.public_key] = (is_possessing(peer), until)
        return until

    def release(self, key: PublicKey) -> None:
        """The peer is tried no more, or is no stranger any more."""
        self._trying.pop(key, None)

    def _backoff_s(self, place: IPNetwork | IPAddress, count: int) -> float:
        whole_s = min(BACKOFF_S * 2.0 ** (count - FREE_TRIES), BACKOFF_MAX_S)
        digest = hashlib.sha256(self._own_key.raw + str(place).encode() + b"%d" % count).digest()
        return whole_s * (1.0 + JITTER * (digest[0] / 255))


def is_possessing(peer: Peer) -> bool:
    """Whether it has shown to be somebody: by its key, or by an answer from another address than the one tried."""
    return peer.possession_at is not None or peer.control_endpoint is not None


def _place(candidate: Candidate) -> IPNetwork | IPAddress:
    host = candidate.endpoint.host
    if host.version == 4 or candidate.source is CandidateSource.LAN:  # which only those on the link can send to us
        return host
    return owner_network(host)
