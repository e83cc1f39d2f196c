"""Where to send to a peer that does not answer, although its last handshake is young enough to carry data.

WireGuard keeps to an endpoint as long as its session lives, and follows the peer only when that speaks first. After a
move that may never be: a laptop that enters the LAN of its peer goes on sending to the outside of that LAN. So

- an address from which the peer has spoken to us since it fell silent is tried at once;
- after 30 s every address at which it has ever answered is tried, in turn, the one that fell silent among them.

An address that has never answered waits until the session is over: anybody could have named it (`strangers.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wgmesh.core.candidate_kinds import has_answered
from wgmesh.core.model import Candidate, Endpoint, ObservedPeer, Peer, PublicKey

TRY_S = 6.0  # above WireGuard's own retry of 5 s, so that an address is used before the next one is tried
# The silence of a path is seen seconds after it began, and the peer may have spoken from elsewhere by then.
SPOKEN_BEFORE_S = 20.0
ELSEWHERE_AFTER_S = 30.0  # a peer that restarts or sleeps for a moment comes back where it was


@dataclass(frozen=True, slots=True)
class _Detour:
    """What was tried since a peer fell silent, the last one longest until `until`."""

    tried: tuple[Endpoint, ...]
    until: float


class Detours:
    """The peers that are sought elsewhere. `now` is the clock of the observed handshakes."""

    def __init__(self) -> None:
        self._detours: dict[PublicKey, _Detour] = {}

    def keep(self, keys: Iterable[PublicKey]) -> None:
        """Forgets all other peers."""
        wanted = frozenset(keys)
        self._detours = {key: detour for key, detour in self._detours.items() if key in wanted}

    def next_at(self) -> float | None:
        """When a peer is to be looked at again without any change."""
        return min((detour.until for detour in self._detours.values()), default=None)

    def end(self, key: PublicKey) -> None:
        self._detours.pop(key, None)

    def endpoint(self, peer: Peer, observed: ObservedPeer, usable: Sequence[Candidate], now: float) -> Endpoint | None:
        """Where to send to instead, None while it stays as it is. The peer is one that does not answer."""
        key, since = peer.public_key, observed.unanswered_since
        detour = self._detours.get(key, _Detour((), now))
        if since is None:
            self.end(key)
            return None
        if now < detour.until:
            return None
        others = self._others(peer, usable, since, now)
        untried = [each for each in others if each not in detour.tried]
        chosen = next((each for each in untried or others if each != observed.endpoint), None)
        if chosen is None:
            until = since + ELSEWHERE_AFTER_S
            if now < until:
                self._detours[key] = _Detour(detour.tried, until)
            else:
                self._detours[key] = _Detour((), now + TRY_S)
            return None
        tried = (*detour.tried, chosen) if untried else (chosen,)
        self._detours[key] = _Detour(tried, now + TRY_S)
        return chosen

    def _others(self, peer: Peer, usable: Sequence[Candidate], since: float, now: float) -> list[Endpoint]:
        control, spoken_at = peer.control_endpoint, peer.direct_seen_at
        if control is not None and spoken_at is not None and spoken_at >= since - SPOKEN_BEFORE_S:
            there = [each.endpoint for each in usable if each.endpoint.host == control.host]
            if there:
                return there
        if now - since < ELSEWHERE_AFTER_S:
            return []
        return [each.endpoint for each in usable if has_answered(peer, each)]
