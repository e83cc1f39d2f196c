"""Openers: datagrams that make our own NAT expect a peer, and die before they reach the peer's NAT.

Some NATs (Linux with plain masquerade and no input drop) keep an entry for a datagram that nobody asked for. If the
peer's first packet comes before ours, our packet finds the port taken and leaves from another, where nobody looks for
us. So before WireGuard's first packet each side sends openers from WireGuard's port with a low TTL: the own NAT makes
its entry, the peer's sees nothing. No answer is expected. Decision 0034 has the evidence.

Any member can name any address, so what is sent there is bounded whatever is said:

- At most 8 addresses a peer, and 16 openers a second in all.
- A burst of four, then a pause in which a NAT forgets what it remembered; pauses grow to a minute.
- Where the peer has not answered from this host, all peers and ports that are named there (in one /64 of IPv6) have two
  bursts together, and pauses that grow to ten minutes.
- Nothing goes to a peer with a fresh handshake, to private addresses, to a LAN, or from a host that has no NAT.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wgmesh.core.candidate_kinds import has_answered, is_reflexive
from wgmesh.core.model import Candidate, Endpoint, IPNetwork, Mapping, NatReport, Peer, PublicKey
from wgmesh.core.network_index import owner_network
from wgmesh.core.pauses import Pauses
from wgmesh.core.ratelimit import TokenBucket
from wgmesh.core.wireguard_times import REJECT_AFTER_S

# Hops that an opener lives. 2 passes our own router and dies at the next one. Where a virtual machine's or a
# container's host translates too, or the provider does, 3 and 4 open that as well; they come later, because between
# neighbours of one provider they may reach the peer's own NAT, which has sent its own openers by then.
TTLS = (2, 2, 3, 4)
GAP_S = 2.0  # between openers of a burst; Linux keeps an entry that nobody has answered for 30 s
# From the beginning of a burst to that of the next. An entry that was made too late, at the wrong port, has to be gone
# first: 6 s of burst, 30 s, and some.
PAUSE_S = 40.0
PAUSE_MAX_S = 60.0
PAUSE_STRANGE_MAX_S = 600.0
STRANGE_BURSTS = 2  # a peer is often said to be at its usual port first, and a moment later at the one its NAT gave it
CANDIDATES_MAX = 8
PER_S, AT_ONCE = 16.0, 32.0  # a mesh of 32 newcomers is opened at once; 16/s of 29 bytes are nothing to a line
LATER_S = 1.0  # for those that find no room; waking for each of them would cost more than it brings
PLACES_MAX = 4096


@dataclass(frozen=True, slots=True)
class Opener:
    """One datagram: where to, and how many hops it may live."""

    to: Endpoint
    ttl: int


@dataclass(slots=True)
class _Burst:
    """`sent` openers of a burst are on the way, and the next is due."""

    due_at: float
    sent: int = 0


class Openers:
    """When to open towards whom. `now` is steady seconds and never decreases."""

    def __init__(self) -> None:
        self._is_translated = False
        self._wanted: dict[Endpoint, tuple[IPNetwork, bool]] = {}
        self._bursts: dict[Endpoint, _Burst] = {}
        self._pauses: Pauses[Endpoint] = Pauses(PAUSE_S, PAUSE_MAX_S, PLACES_MAX)
        self._strange: list[Pauses[IPNetwork]] = [
            Pauses(PAUSE_S, PAUSE_STRANGE_MAX_S, PLACES_MAX) for _ in range(STRANGE_BURSTS)
        ]
        self._bucket = TokenBucket(PER_S, AT_ONCE)

    def set_report(self, report: NatReport) -> None:
        """Takes how the outside sees this host. Without a NAT before us there is nothing to open."""
        self._is_translated = bool(report.sightings) and report.mapping is not Mapping.NONE

    def set_peers(self, peers: Iterable[Peer], own: PublicKey | None, now: float) -> None:
        """Opens towards exactly these peers, as far as they have no tunnel."""
        wanted: dict[Endpoint, tuple[IPNetwork, bool]] = {}
        for peer in peers:
            if peer.public_key == own or _is_connected(peer, now):
                continue
            for candidate in [each for each in peer.candidates if is_reflexive(each)][:CANDIDATES_MAX]:
                place = owner_network(candidate.endpoint.host)
                wanted.setdefault(candidate.endpoint, (place, _has_answered(peer, candidate)))
        newcomers = [to for to in wanted if to not in self._wanted]
        self._wanted = {to: wanted[to] for to in [*newcomers, *self._wanted] if to in wanted}
        self._bursts = {to: burst for to, burst in self._bursts.items() if to in wanted}

    def take_due(self, now: float) -> list[Opener]:
        """Returns what is to be sent now."""
        if not self._is_translated:
            return []
        openers = []
        for to, (place, is_known) in tuple(self._wanted.items()):
            if to not in self._bursts and self._begin(to, place, is_known, now):
                self._bursts[to] = _Burst(now)
                self._wanted[to] = self._wanted.pop(to)  # of several at one address each has its turn
            burst = self._bursts.get(to)
            if burst is None or now < burst.due_at:
                continue
            if not self._bucket.take(now):
                burst.due_at = now + LATER_S
                continue
            openers.append(Opener(to, TTLS[burst.sent]))
            burst.sent, burst.due_at = burst.sent + 1, now + GAP_S
            if burst.sent == len(TTLS):
                del self._bursts[to]
        return openers

    def next_due_at(self) -> float | None:
        """When `take_due` has something next, or None while there is nothing to open."""
        if not self._is_translated:
            return None
        due = (
            self._bursts[to].due_at if to in self._bursts else self._pause_ends(to, place, is_known)
            for to, (place, is_known) in self._wanted.items()
        )
        return min(due, default=None)

    def _begin(self, to: Endpoint, place: IPNetwork, is_known: bool, now: float) -> bool:
        if not self._pauses.is_over(to, now):
            return False
        if not is_known and not any(each.begin(place, now) for each in self._strange):
            return False
        return self._pauses.begin(to, now)

    def _pause_ends(self, to: Endpoint, place: IPNetwork, is_known: bool) -> float:
        own = self._pauses.until(to) or 0.0
        return own if is_known else max(own, min(each.until(place) or 0.0 for each in self._strange))


def _is_connected(peer: Peer, now: float) -> bool:
    return any(each.proven_at is not None and now - each.proven_at < REJECT_AFTER_S for each in peer.candidates)


def _has_answered(peer: Peer, candidate: Candidate) -> bool:
    """Whether the peer has answered us from there, and has not been asked there in vain since."""
    return peer.silence is None and has_answered(peer, candidate)
