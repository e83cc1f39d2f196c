"""Decides which peer is probed through the tunnel, and when. Knows no socket and no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wgmesh.core.model import IPAddress, Peer, PublicKey, SelfDescription
from wgmesh.core.ratelimit import RateLimiter

PROBE_GAP_S = 30.0  # fresh enough for a display and for choosing paths; a probe costs both ends a millisecond
# In a large mesh a node probes one peer after the other, at this pace: 49 peers every 30 s would be 200 MB a day of
# connections, or 30 MB of echoes; so it is 1.3 MB, of 3 that a mesh of 50 at rest may cost. That a tunnel has died
# shows by WireGuard's own handshakes.
PROBE_PACE_S = 15.0
JITTER = 0.2  # of a gap, so that the probes of many peers spread out
RETRY_GAP_S = 0.25  # a tunnel that is being built is often ready a moment later
RETRY_GAP_MAX_S = 60.0
NOT_ASKED_GAP_S = 1.0  # while our own end of the tunnel is not up
# A move is an address that goes, a link, and an address that comes. A host that starts containers all the time changes
# its interfaces all the time, too.
HURRIES_BURST = 4
HURRIES_PER_S = 0.1
IN_FLIGHT_MAX = 32  # probes of dead peers take seconds; more at once would only queue in the tunnel


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """A peer and its mesh addresses, best first, each with our own address of that family."""

    public_key: PublicKey
    routes: tuple[tuple[IPAddress, IPAddress], ...]  # (own, peer's)
    is_proven: bool = False
    traceparent: str = ""


def targets(description: SelfDescription | None, peers: Iterable[Peer], *, ipv6: bool) -> tuple[ProbeTarget, ...]:
    """Returns whom to probe and how: mesh IPv6 first where both ends have one, then IPv4."""
    if description is None:
        return ()
    return tuple(_target(description, peer, ipv6=ipv6) for peer in peers if peer.public_key != description.public_key)


def _target(own: SelfDescription, peer: Peer, *, ipv6: bool) -> ProbeTarget:
    routes: list[tuple[IPAddress, IPAddress]] = []
    if ipv6 and peer.mesh_ipv6 is not None:
        routes.append((own.mesh_ipv6, peer.mesh_ipv6))
    if peer.mesh_ipv4 != own.mesh_ipv4:  # an address collision is being resolved: it would be our own server
        routes.append((own.mesh_ipv4, peer.mesh_ipv4))
    is_proven = any(candidate.proven_at is not None for candidate in peer.candidates)
    return ProbeTarget(peer.public_key, tuple(routes), is_proven, peer.traceparent)


@dataclass(slots=True)
class _Probed:
    target: ProbeTarget
    due_at: float
    failure_count: int = 0
    is_in_flight: bool = False
    is_wanted_again: bool = False


class ProbeSchedule:
    """When each peer is probed next. `now` is seconds on any clock that never goes back; `jitter()` is in [0, 1)."""

    def __init__(
        self,
        jitter: Callable[[], float],
        *,
        gap_s: float = PROBE_GAP_S,
        pace_s: float = PROBE_PACE_S,
        not_asked_gap_s: float = NOT_ASKED_GAP_S,
    ) -> None:
        self._jitter = jitter
        self._gap_s = gap_s
        self._pace_s = pace_s
        self._not_asked_gap_s = not_asked_gap_s
        self._peers: dict[PublicKey, _Probed] = {}
        self._in_flight_count = 0
        self._hurries: RateLimiter[None] = RateLimiter(HURRIES_PER_S, HURRIES_BURST, max_sources=1)

    def set_targets(self, wanted: Iterable[ProbeTarget], now: float) -> None:
        """Probes exactly these peers. One that appears, changes its addresses or becomes proven is due at once."""
        previous, self._peers = self._peers, {}
        for target in wanted:
            known = previous.get(target.public_key)
            if known is None:
                known = _Probed(target, now)
            elif target.routes != known.target.routes or (target.is_proven and not known.target.is_proven):
                known.due_at, known.failure_count, known.is_wanted_again = now, 0, known.is_in_flight
            known.target = target
            self._peers[target.public_key] = known

    def hurry(self, now: float) -> None:
        """Makes every peer due at once, unless that was so too often: an interface of this host has changed."""
        if self._hurries.admit(None, now).allowed:
            for probed in self._peers.values():
                probed.due_at = min(probed.due_at, now)

    def outdated(self) -> list[PublicKey]:
        """Returns the peers whose probe in flight began before the news that makes another one due at once."""
        return [key for key, probed in self._peers.items() if probed.is_wanted_again]

    def take_due(self, now: float) -> list[ProbeTarget]:
        """Returns the peers to probe, longest overdue first; each must be handed back to one of the methods below."""
        waiting = [probed for probed in self._peers.values() if probed.due_at <= now and not probed.is_in_flight]
        waiting.sort(key=lambda probed: probed.due_at)
        taken = waiting[: max(0, IN_FLIGHT_MAX - self._in_flight_count)]
        for probed in taken:
            probed.is_in_flight = True
        self._in_flight_count += len(taken)
        return [probed.target for probed in taken]

    def answered(self, key: PublicKey, now: float) -> None:
        self._landed(key, now, max(self._gap_s, self._turn_s()), failure_count=0)

    def unanswered(self, key: PublicKey, now: float) -> None:
        probed = self._peers.get(key)
        failures = 1 if probed is None else probed.failure_count + 1
        self._landed(key, now, self._retry_gap_s(failures), failures)

    def not_asked(self, key: PublicKey, now: float) -> None:
        """The probe was not sent or not finished, for a reason of our own: that says nothing of the peer."""
        probed = self._peers.get(key)
        self._landed(key, now, self._not_asked_gap_s, 0 if probed is None else probed.failure_count)

    def next_due_at(self) -> float | None:
        """Returns when `take_due` has something next, or None while everything waits for probes in flight."""
        if self._in_flight_count >= IN_FLIGHT_MAX:
            return None
        return min((probed.due_at for probed in self._peers.values() if not probed.is_in_flight), default=None)

    def _landed(self, key: PublicKey, now: float, gap_s: float, failure_count: int) -> None:
        self._in_flight_count -= 1
        probed = self._peers.get(key)
        if probed is None:  # removed while its probe was in flight
            return
        probed.is_in_flight = False
        probed.failure_count = failure_count
        probed.due_at = now if probed.is_wanted_again else now + gap_s * (1 + JITTER * (self._jitter() - 0.5))
        probed.is_wanted_again = False

    def _retry_gap_s(self, failure_count: int) -> float:
        gap_s = RETRY_GAP_S * 2.0 ** min(failure_count - 1, 16)
        return min(gap_s, max(RETRY_GAP_MAX_S, self._turn_s()))

    def _turn_s(self) -> float:
        """Until all peers have had their turn."""
        return self._pace_s * len(self._peers)
