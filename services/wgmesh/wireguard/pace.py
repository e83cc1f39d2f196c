"""How often to look at the device: at once when it matters, hardly when nothing happens."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from operator import attrgetter

from wgmesh.core.model import ObservedDevice, ObservedPeer

BURST_S = 3.0  # a first handshake takes one round trip; one that got lost is tried again only after 5 s
BURST_INTERVAL_S = 0.05
BURST_PEER_S = 0.005  # on top for each peer: a look reads all of them
ACTIVE_INTERVAL_S = 1.0
IDLE_INTERVAL_S = 10.0  # at most: a handshake that comes late only shows its age late
IDLE_SHARE = 0.0005  # of a processor for an idle device: a small one is looked at every second or two also then
IDLE_AFTER_LOOKS = 5  # looks in a row that found nothing but traffic
FULL_LOOK_INTERVAL_S = 30.0  # addresses and routes: the kernel tells of their changes, and nothing hangs on that alone


def _all_but(*names: str) -> Callable[[ObservedPeer], object]:
    return attrgetter(*(each.name for each in fields(ObservedPeer) if each.name not in names))


_but_counters = _all_but("rx_bytes", "tx_bytes")
_but_traffic = _all_but("rx_bytes", "tx_bytes", "handshake_at")
_settings = attrgetter("public_key", "allowed_ips", "persistent_keepalive_s", "preshared_key")


def same_but_counters(one: ObservedDevice | None, other: ObservedDevice | None) -> bool:
    """Whether two looks differ in nothing but bytes received and sent."""
    return _same(one, other, _but_counters)


def same_settings(one: ObservedDevice | None, other: ObservedDevice | None) -> bool:
    """Whether two looks differ in nothing that only changes when somebody sets it."""
    return _same(one, other, _settings)


def _same_but_traffic(one: ObservedDevice | None, other: ObservedDevice | None) -> bool:
    """Whether two looks differ in nothing but bytes and the renewals of handshakes, which are there all the time."""
    return _same(one, other, lambda peer: (_but_traffic(peer), peer.handshake_at is None))


def _same(one: ObservedDevice | None, other: ObservedDevice | None, matters: Callable[[ObservedPeer], object]) -> bool:
    if one is None or other is None:
        return one is other
    if replace(one, peers=()) != replace(other, peers=()):
        return False
    return list(map(matters, one.peers)) == list(map(matters, other.peers))


class Pace:
    """Says when to look next. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._burst_until = 0.0
        self._unchanged = 0
        self._full_look_at = 0.0

    def on_applied(self, now: float) -> None:
        """The device was changed: a handshake may come any moment."""
        self._burst_until = now + BURST_S
        self._unchanged = 0

    def on_look(
        self,
        now: float,
        before: ObservedDevice | None,
        seen: ObservedDevice | None,
        spent_s: float = math.inf,
        *,
        is_curious: bool = False,
    ) -> float:
        """Takes what was known before a look, what it found, and its processor time.

        Returns the seconds to wait before the next one. `is_curious`: data flows, or an answer is due. A peer that is
        gone is to be seen seconds after its last answer.
        """
        self._unchanged = self._unchanged + 1 if _same_but_traffic(before, seen) else 0
        peers = seen.peers if seen else ()
        if now < self._burst_until and any(peer.handshake_at is None for peer in peers):
            return min(BURST_INTERVAL_S + BURST_PEER_S * len(peers), ACTIVE_INTERVAL_S)
        if is_curious:
            return min(max(ACTIVE_INTERVAL_S, BURST_PEER_S * len(peers)), IDLE_INTERVAL_S)
        if self._unchanged < IDLE_AFTER_LOOKS:
            return ACTIVE_INTERVAL_S
        return min(max(ACTIVE_INTERVAL_S, spent_s / IDLE_SHARE), IDLE_INTERVAL_S)

    def wants_full_look(self, now: float) -> bool:
        """Whether addresses and routes are due as well. Answering yes starts the next span."""
        if now < self._full_look_at:
            return False
        self._full_look_at = now + FULL_LOOK_INTERVAL_S
        return True
