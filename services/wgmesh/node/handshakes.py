"""Who starts a handshake, when, and towards which candidate.

WireGuard left alone is slow in two cases: an initiation that arrives before the responder knows the initiator is lost
and repeated only after 5 s, and two ends that initiate at once can spoil each other's handshake several times. So of
two nodes of this implementation the one with the smaller key initiates, and the other waits without an endpoint, which
keeps its device from initiating. A first handshake that does not come is hurried by leaving the peer out of one
composition: the device forgets its retry timer, and the next composition initiates at once.

That holds at addresses that have answered us. At all others, which anybody can name, a peer is tried with care
(`strangers.py`); between its tries it is configured without an endpoint: so it can come in, and the device is silent. A
candidate inside a network that the device routes to a peer is passed over: the tunnel would run through a tunnel.

A first packet that comes before the peer's own has left its NAT makes some NATs give the peer another port. So where
we are behind a NAT, or do not know, nothing goes to an address beyond the peer's NAT in the first half second: in that
time both sides send openers (nat/openers.py).

A connected peer keeps its endpoint, unless it does not answer (`detours.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from wgmesh.core.candidate_kinds import has_answered, is_reflexive
from wgmesh.core.model import Candidate, Endpoint, ObservedPeer, Peer, PublicKey
from wgmesh.core.network_index import NetworkIndex, host_network
from wgmesh.core.wireguard_times import REJECT_AFTER_S
from wgmesh.node.detours import Detours
from wgmesh.node.strangers import Strangers, is_possessing

KEEPALIVE_S = 25  # upstream's value: below the 30 s after which common NATs forget a UDP flow
# WireGuard restarts this timer with every packet, also one received, so of two sides with one interval chance decides
# who sends. A session is renewed after 120 s by the side that began it, and only when that sends (paper, section 6.2);
# so that side should be the one that sends, or idle tunnels get so old that they look dead.
INITIATOR_KEEPALIVE_S = 22
RENEWAL_S = 30.0  # a session that has ended is renewed by the next keepalive; only what fails then is a reason to act
PASSIVE_NATIVE_S = (
    1.5  # several hurried tries of the other side; then it is probably behind a NAT that needs our packet
)
# After a restart of ours the other side believes in the session of our last life, and never initiates. Only where it
# has restarted too does it, so it gets the time of one handshake.
PASSIVE_MET_S = 0.3
OPENING_S = 0.5  # a round trip on the internet: what tells us of the peer has told the peer of us by then
PASSIVE_FOREIGN_S = 6.0  # upstream configures its peers on a 5 s tick and initiates by itself
HURRY_GAPS_S = (0.12, 0.5, 1.5, 4.0)  # the first for a responder a moment late, the others for slow paths
RETRY_GAP_S = 6.0  # above WireGuard's own retry of 5 s, so that it is used before the next candidate is tried
MET_BEFORE = "cache"  # discovery's word for a peer that an earlier life of this node has met
TRIES_ON_BEST = 2  # before other candidates are tried: the first try often comes before the responder is ready


@dataclass(frozen=True, slots=True)
class Attempt:
    """The tries to complete a first handshake with one peer.

    `target` is what is being tried, None between two tries. `is_stranger`: no address of the peer has answered us yet.
    """

    started_at: float
    active_at: float
    try_count: int = 0
    next_at: float = 0.0
    tried_at: float = 0.0
    target: Endpoint | None = None
    is_stranger: bool = False


@dataclass(frozen=True, slots=True)
class Approach:
    """How a peer is to be configured in this composition. `dead_endpoint` is the one that `endpoint` is to replace."""

    present: bool = True
    endpoint: Endpoint | None = None
    keepalive_s: int = KEEPALIVE_S
    dead_endpoint: Endpoint | None = None


_NO_ROUTES = NetworkIndex[None](())


class HandshakeTable:
    """The attempts of all peers. `next_at` says when a composition is due."""

    def __init__(self, own_key: PublicKey) -> None:
        self._own_key = own_key
        self._attempts: dict[PublicKey, Attempt] = {}
        self._strangers = Strangers(own_key)
        self._detours = Detours()
        self._opened_at: dict[PublicKey, dict[Endpoint, float]] = {}

    def keep(self, keys: Iterable[PublicKey]) -> None:
        """Forgets the attempts of all other peers."""
        wanted = frozenset(keys)
        self._attempts = {key: attempt for key, attempt in self._attempts.items() if key in wanted}
        self._detours.keep(wanted)
        self._opened_at = {key: opened for key, opened in self._opened_at.items() if key in wanted}

    def next_at(self) -> float | None:
        due = [attempt.next_at for attempt in self._attempts.values()]
        detour_at = self._detours.next_at()
        return min(due if detour_at is None else [*due, detour_at], default=None)

    def approaches(
        self,
        peers: Iterable[Peer],
        observed: Mapping[PublicKey, ObservedPeer],
        now: float,
        routed: NetworkIndex[None] = _NO_ROUTES,
        *,
        opens: bool = False,
    ) -> dict[PublicKey, Approach]:
        """Decides how to configure all peers at `now`, given what the device has of them and routes into itself.

        `opens`: openers have to be on their way first.
        """
        in_turn = sorted(peers, key=lambda peer: self._precedence(peer, now))
        return {
            peer.public_key: self.approach(peer, observed.get(peer.public_key), now, routed, opens=opens)
            for peer in in_turn
        }

    def approach(
        self,
        peer: Peer,
        observed: ObservedPeer | None,
        now: float,
        routed: NetworkIndex[None] = _NO_ROUTES,
        *,
        opens: bool = False,
    ) -> Approach:
        """Decides how to configure `peer` at `now`."""
        self._note_opening(peer, now, opens=opens)
        handshake_at = observed.handshake_at if observed else None
        keepalive_s = self._keepalive_s(peer)
        if handshake_at is not None and now - handshake_at < REJECT_AFTER_S + RENEWAL_S:
            self._attempts.pop(peer.public_key, None)
            self._strangers.release(peer.public_key)
            return self._connected(peer, observed, keepalive_s, now, routed)
        self._detours.end(peer.public_key)
        attempt = self._attempts.get(peer.public_key)
        if attempt is None:
            attempt = self._begin(peer, had_handshake=handshake_at is not None, now=now)
        elif attempt.try_count == 0:
            attempt = self._hasten(peer, attempt, had_handshake=handshake_at is not None)
        elif attempt.is_stranger and any(has_answered(peer, each) for each in peer.candidates):
            attempt = _known(attempt, now)
        if now < attempt.active_at:
            self._attempts[peer.public_key] = attempt
            return Approach(keepalive_s=0)
        if not peer.candidates:
            self._attempts[peer.public_key] = replace(attempt, next_at=now + RETRY_GAP_S, target=None)
            return Approach(keepalive_s=0)
        if now < attempt.next_at:
            self._attempts[peer.public_key] = attempt
            return self._between(peer, attempt, handshake_at)
        return self._try_next(peer, attempt, observed, now, routed)

    def _connected(
        self, peer: Peer, observed: ObservedPeer | None, keepalive_s: int, now: float, routed: NetworkIndex[None]
    ) -> Approach:
        """WireGuard's roaming knows the endpoint of a peer that answers better than anybody."""
        if observed is None or observed.unanswered_since is None or observed.endpoint is None:
            self._detours.end(peer.public_key)
            return Approach(keepalive_s=keepalive_s)
        elsewhere = self._detours.endpoint(peer, observed, _usable(peer, routed), now)
        dead = None if elsewhere is None else observed.endpoint
        return Approach(endpoint=elsewhere, keepalive_s=keepalive_s, dead_endpoint=dead)

    def _note_opening(self, peer: Peer, now: float, *, opens: bool) -> None:
        """Notes since when openers are on the way to each address beyond the peer's NAT."""
        before = self._opened_at.get(peer.public_key, {})
        reflexive = [each.endpoint for each in peer.candidates if opens and _is_translated(each)]
        self._opened_at[peer.public_key] = {endpoint: before.get(endpoint, now) for endpoint in reflexive}

    def _held_until(self, peer: Peer, candidate: Candidate) -> float | None:
        opened_at = self._opened_at[peer.public_key].get(candidate.endpoint)
        return None if opened_at is None else opened_at + OPENING_S

    def _precedence(self, peer: Peer, now: float) -> tuple[bool, bool, int, float]:
        """Who is tried before others where not all can be: who has shown to be somebody, then who was tried least."""
        attempt = self._attempts.get(peer.public_key)
        is_unmet = MET_BEFORE not in peer.discovery_methods
        tries, since = (attempt.try_count, attempt.started_at) if attempt else (0, now)
        return (not is_possessing(peer), is_unmet, tries, since)

    def _begin(self, peer: Peer, had_handshake: bool, now: float) -> Attempt:
        active_at = now + self._patience(peer, had_handshake)
        return Attempt(started_at=now, active_at=active_at, next_at=active_at)

    def _hasten(self, peer: Peer, attempt: Attempt, had_handshake: bool) -> Attempt:
        """What was heard of a peer since the beginning may tell that it need not be waited for so long."""
        active_at = min(attempt.active_at, attempt.started_at + self._patience(peer, had_handshake))
        return replace(attempt, active_at=active_at, next_at=active_at)

    def _patience(self, peer: Peer, had_handshake: bool) -> float:
        """Seconds to wait for the other side's initiation."""
        if had_handshake:
            return 0.0  # a tunnel that fell silent: there is no first initiation to collide with
        if peer.native and self._own_key < peer.public_key:
            return 0.0
        if MET_BEFORE in peer.discovery_methods:
            return PASSIVE_MET_S
        return PASSIVE_NATIVE_S if peer.native else PASSIVE_FOREIGN_S

    def _try_next(
        self, peer: Peer, attempt: Attempt, observed: ObservedPeer | None, now: float, routed: NetworkIndex[None]
    ) -> Approach:
        usable = _usable(peer, routed)
        candidate = self._choose(peer, usable, attempt.try_count, now)
        if candidate is None:
            return self._wait(peer, attempt, observed, now, usable)
        held_until = self._held_until(peer, candidate)
        if held_until is not None and now < held_until:
            self._attempts[peer.public_key] = attempt = replace(attempt, next_at=held_until)
            return self._between(peer, attempt, observed.handshake_at if observed else None)
        if observed is not None and observed.handshake_at is None:
            # Leave it out once; the composition that follows at once finds it absent and initiates.
            self._attempts[peer.public_key] = replace(attempt, next_at=now)
            return Approach(present=False, keepalive_s=self._keepalive_s(peer))
        is_stranger = not has_answered(peer, candidate)
        if is_stranger:
            next_at = self._strangers.note_try(peer, candidate, now)
        else:
            self._strangers.release(peer.public_key)
            hurried = observed is None and attempt.try_count < len(HURRY_GAPS_S)
            next_at = now + (HURRY_GAPS_S[attempt.try_count] if hurried else RETRY_GAP_S)
        self._attempts[peer.public_key] = replace(
            attempt,
            try_count=attempt.try_count + 1,
            next_at=next_at,
            tried_at=now,
            target=candidate.endpoint,
            is_stranger=is_stranger,
        )
        return Approach(endpoint=candidate.endpoint, keepalive_s=self._keepalive_s(peer))

    def _choose(self, peer: Peer, usable: list[Candidate], try_count: int, now: float) -> Candidate | None:
        """The candidate whose turn it is, one that has answered if that one may not be tried now, or none."""
        if not usable:
            return None
        candidate = usable[max(0, try_count + 1 - TRIES_ON_BEST) % len(usable)]
        if has_answered(peer, candidate) or self._strangers.may_try(peer, candidate, now):
            return candidate
        return next((each for each in usable if has_answered(peer, each)), None)

    def _wait(
        self, peer: Peer, attempt: Attempt, observed: ObservedPeer | None, now: float, usable: list[Candidate]
    ) -> Approach:
        """Between two tries the device must not know where the peer is said to be, or it would go on trying.

        It forgets an endpoint only with the whole peer. One that the peer itself has given the device by coming in has
        no keepalive beside it, and does no harm.
        """
        handshake_at = observed.handshake_at if observed else None
        is_told = observed is not None and (
            attempt.target is not None or (handshake_at is None and observed.persistent_keepalive_s > 0)
        )
        due_at = min((self._strangers.due_at(peer, each, now) for each in usable), default=now + RETRY_GAP_S)
        self._strangers.release(peer.public_key)
        attempt = replace(attempt, next_at=now if is_told else due_at, target=None, is_stranger=True)
        self._attempts[peer.public_key] = attempt
        if is_told:
            return Approach(present=False, keepalive_s=self._keepalive_s(peer))
        return self._between(peer, attempt, handshake_at)

    def _between(self, peer: Peer, attempt: Attempt, handshake_at: float | None) -> Approach:
        """As the peer is while it waits: with what is being tried, or as one that can only come in by itself."""
        is_silent = attempt.target is None and handshake_at is None
        return Approach(endpoint=attempt.target, keepalive_s=0 if is_silent else self._keepalive_s(peer))

    def _keepalive_s(self, peer: Peer) -> int:
        return INITIATOR_KEEPALIVE_S if peer.native and self._own_key < peer.public_key else KEEPALIVE_S


def _usable(peer: Peer, routed: NetworkIndex[None]) -> list[Candidate]:
    return [each for each in peer.candidates if routed.around(host_network(each.endpoint.host)) is None]


def _is_translated(candidate: Candidate) -> bool:
    """Whether a NAT of the peer's may stand before this address: that none does cannot be told from here.

    IPv6 is not translated.
    """
    return candidate.endpoint.host.version == 4 and is_reflexive(candidate)


def _known(attempt: Attempt, now: float) -> Attempt:
    """The attempt at a stranger that has answered meanwhile: it goes on as if that had been so from the beginning."""
    if attempt.target is None:
        return replace(attempt, is_stranger=False, next_at=now)
    hurried_at = max(now, attempt.tried_at + HURRY_GAPS_S[0])
    return replace(attempt, is_stranger=False, next_at=min(attempt.next_at, hurried_at))
