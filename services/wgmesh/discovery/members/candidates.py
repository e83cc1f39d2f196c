"""The addresses at which one peer's WireGuard port may be reached: never one slot, always with source and age.

An endpoint may be known from several sources at once. Each is kept by itself: when one expires, the others stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf

from wgmesh.core.model import Candidate, CandidateSource, Endpoint, IPAddress
from wgmesh.core.wireguard_times import REJECT_AFTER_S

CANDIDATES_MAX = 16  # a host with more addresses than this is served well enough by its 16 best
SECOND_HAND_MAX = 4  # third parties may suggest, not crowd out
PROOF_FRESH_S = REJECT_AFTER_S
# An idle tunnel renews its handshake after 120 to 190 s, and we hear of that within 40 s: who takes a tunnel as
# lost before that asks peers outside it that miss nothing.
TUNNEL_LOST_S = 230.0
LAN_FRESH_S = 20.0  # four announcements missed: the peer has left this LAN (weaknesses 5)
HEARD_FRESH_S = 600.0  # as long as a silent peer is kept

_RANK = {
    source: rank
    for rank, source in enumerate(
        (
            CandidateSource.LAN,
            CandidateSource.OBSERVED,
            CandidateSource.ANNOUNCED,
            CandidateSource.STATIC,
            CandidateSource.SECOND_HAND,
            CandidateSource.CACHE,
        )
    )
}
_LIFETIME_S = {
    CandidateSource.LAN: LAN_FRESH_S,
    CandidateSource.OBSERVED: HEARD_FRESH_S,
    CandidateSource.SECOND_HAND: HEARD_FRESH_S,
}  # static and cached addresses stay as long as the peer, announced ones until it announces others


def lifetime_s(source: CandidateSource) -> float:
    """Seconds for which an address counts after it was last heard; infinite where it stays as long as the peer."""
    return _LIFETIME_S.get(source, inf)


class Candidates:
    """The candidates of one peer."""

    def __init__(self) -> None:
        self._heard: dict[tuple[Endpoint, CandidateSource], float] = {}
        self._proven: dict[Endpoint, float] = {}
        self._ordered: tuple[Candidate, ...] | None = None
        self._ordered_until = inf  # when a proof grows stale

    def hear(self, endpoint: Endpoint, source: CandidateSource, now: float) -> None:
        """Notes an address. Hearing it again makes it younger, except second hand."""
        slot = (endpoint, source)
        if source is CandidateSource.SECOND_HAND:
            if slot in self._heard or self._count(source) >= SECOND_HAND_MAX:
                return
        elif slot not in self._heard:
            self._make_room(now)
        self._heard[slot] = now
        self._ordered = None

    def replace(self, endpoints: Iterable[Endpoint], source: CandidateSource, now: float) -> bool:
        """Makes `endpoints` all that is known from `source`. Whether an address came or went."""
        kept = list(dict.fromkeys(endpoints))[:CANDIDATES_MAX]
        self._ordered = None
        slots = [slot for slot in self._heard if slot[1] is source]
        if [endpoint for endpoint, _ in slots] == kept:
            for slot in slots:
                self._heard[slot] = now
            return False
        before = self.endpoints()
        for slot in slots:
            del self._heard[slot]
        for endpoint in kept:
            self.hear(endpoint, source, now)
        return before != self.endpoints()

    def prove(self, endpoint: Endpoint, proven_at: float) -> None:
        """Notes that WireGuard reached the peer at `endpoint`."""
        self._ordered = None
        self._proven[endpoint] = max(proven_at, self._proven.get(endpoint, proven_at))
        while len(self._proven) > CANDIDATES_MAX:
            del self._proven[min(self._proven, key=self._proven.__getitem__)]

    def forget(self, is_unusable: Callable[[Endpoint], bool]) -> bool:
        """Drops the addresses for which that holds. Whether there was one."""
        unusable = {endpoint for endpoint in self.endpoints() if is_unusable(endpoint)}
        if unusable:
            self._ordered = None
            self._proven = {endpoint: at for endpoint, at in self._proven.items() if endpoint not in unusable}
            self._heard = {slot: at for slot, at in self._heard.items() if slot[0] not in unusable}
        return bool(unusable)

    def withdraw(self, now: float) -> None:
        """Takes the proofs as old: WireGuard reaches the peer at none of these endpoints at present."""
        self._ordered = None
        self._proven = {endpoint: min(at, now - PROOF_FRESH_S) for endpoint, at in self._proven.items()}

    def is_newest_proof(self, endpoint: Endpoint) -> bool:
        """Whether the most recent proof is one of `endpoint`: a further one there changes no order."""
        return endpoint in self._proven and self._proven[endpoint] == max(self._proven.values())

    def newest_proven_hosts(self) -> set[IPAddress]:
        """Where WireGuard has reached the peer last."""
        newest = max(self._proven.values(), default=None)
        return {endpoint.host for endpoint, at in self._proven.items() if at == newest}

    def expire(self, now: float) -> bool:
        """Drops what is too old. Whether there was anything."""
        before = len(self._proven) + len(self._heard)
        self._ordered = None
        self._proven = {endpoint: at for endpoint, at in self._proven.items() if now - at < HEARD_FRESH_S}
        self._heard = {slot: at for slot, at in self._heard.items() if now < self._end(slot, at)}
        return len(self._proven) + len(self._heard) < before

    def next_change(self, now: float) -> float | None:
        """When the next address expires, or the next proof grows stale and the order may change."""
        ends = [self._end(slot, at) for slot, at in self._heard.items() if slot[1] in _LIFETIME_S]
        stale = [at + span for at in self._proven.values() for span in (PROOF_FRESH_S, HEARD_FRESH_S)]
        return min((at for at in (*ends, *stale) if at > now), default=None)

    def best_first(self, now: float) -> tuple[Candidate, ...]:
        """One candidate an endpoint. Proven most recently first, then by source, then the youngest."""
        if self._ordered is None or now >= self._ordered_until:
            self._ordered = self._best_first(now)
            fresh = [at + PROOF_FRESH_S for at in self._proven.values() if now - at < PROOF_FRESH_S]
            self._ordered_until = min(fresh, default=inf)
        return self._ordered

    def _best_first(self, now: float) -> tuple[Candidate, ...]:
        chosen: dict[Endpoint, Candidate] = {}
        for endpoint, source in sorted(self._heard, key=lambda slot: _RANK[slot[1]]):
            if endpoint not in chosen:
                at = self._heard[endpoint, source]
                chosen[endpoint] = Candidate(endpoint, source, at, self._proven.get(endpoint))
        for endpoint, proven_at in self._proven.items():
            if endpoint not in chosen:  # WireGuard has roamed there by itself
                chosen[endpoint] = Candidate(endpoint, CandidateSource.OBSERVED, proven_at, proven_at)
        return tuple(sorted(chosen.values(), key=lambda candidate: _order(candidate, now))[:CANDIDATES_MAX])

    def endpoints(self) -> set[Endpoint]:
        return {endpoint for endpoint, _ in self._heard} | set(self._proven)

    def _end(self, slot: tuple[Endpoint, CandidateSource], heard_at: float) -> float:
        endpoint, source = slot
        end = heard_at + lifetime_s(source)
        proven_at = self._proven.get(endpoint)
        return end if proven_at is None else max(end, proven_at + PROOF_FRESH_S)

    def _count(self, source: CandidateSource) -> int:
        return sum(1 for slot in self._heard if slot[1] is source)

    def _make_room(self, now: float) -> None:
        self.expire(now)
        while len(self._heard) >= CANDIDATES_MAX:
            unproven = [slot for slot in self._heard if slot[0] not in self._proven] or list(self._heard)
            del self._heard[max(unproven, key=lambda slot: (_RANK[slot[1]], -self._heard[slot]))]


def _order(candidate: Candidate, now: float) -> tuple[float, ...]:
    proven_at = candidate.proven_at
    if proven_at is not None and now - proven_at < PROOF_FRESH_S:
        return (-proven_at,)
    return (0.0, _RANK[candidate.source], -candidate.observed_at)
