"""Rendezvous as one machine without I/O: the introducer's side and the participant's, behind the operator's wishes.

Told of every peer, every OFFER and every START; says what to send, whom to punch, and how it went. The caller drains
`poll` after each input, and calls `handle_timeout` no later than `poll_timeout` says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.rendezvous import Offer, Start
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.rendezvous.hole_punching import HolePunching
from wgmesh.discovery.rendezvous.introducer import Introducer
from wgmesh.discovery.rendezvous.values import Action, PeerView

ACTIONS_MAX = 8192  # as much as one input can make: an attempt of every peer


class Rendezvous:
    """Does nothing before `set_own`, and nothing at all without `punching`."""

    def __init__(self, wall: WallClock, rules: AddressRules, punching: bool, random_unit: Callable[[], float]) -> None:
        """`punching` is False with the operator's no-punching. `random_unit` gives floats in 0..1."""
        self._is_enabled = punching
        self._introducing = Introducer(wall, rules)
        self._punching = HolePunching(wall, rules, random_unit)
        self._actions: deque[Action] = deque(maxlen=ACTIONS_MAX)
        self._controls: dict[PublicKey, Endpoint | None] = {}
        self._own: PublicKey | None = None
        self._is_introducer = False

    def set_own(self, key: PublicKey, introducer: bool) -> None:
        """Sets who we are, and whether the operator lets us introduce others."""
        self._own, self._is_introducer = key, introducer
        self._punching.set_own(key)

    def set_interfaces(self, interfaces: Iterable[LanInterface], now: float) -> None:
        """Sets where we are attached: neighbours there may be punched although their addresses are private."""
        self._punching.set_interfaces(interfaces, now)

    def sync(self, views: Iterable[PeerView], now: float, gone: Iterable[PublicKey] = ()) -> None:
        """Takes the peers of whom something has changed, and who is gone; after `set_own`, which forgets all."""
        if self._is_enabled:
            changed, gone = tuple(views), tuple(gone)
            for key in gone:
                self._controls.pop(key, None)
            self._controls.update((view.key, None if view.is_lost else view.control_endpoint) for view in changed)
            self._introducing.forget(view.key for view in changed if view.is_lost)
            self._actions.extend(self._punching.sync(changed, now, gone))

    def heard(self, key: PublicKey, source: Endpoint, now: float) -> None:
        """Notes that a peer has just spoken to the exchange socket from `source`."""
        if self._is_enabled and self._is_introducer:
            self._introducing.heard(key, source, now)

    def answered(self, key: PublicKey, now: float) -> None:
        """Notes a REPLY of a peer to a HELLO of ours."""
        if self._is_enabled:
            self._punching.answered(key, now)

    def handle_offer(self, offer: Offer, source: Endpoint, now: float) -> None:
        """Takes an OFFER, if we introduce others."""
        if self._is_enabled and self._is_introducer and self._own is not None:
            control = self._controls.get(offer.target)
            self._actions.extend(self._introducing.handle_offer(offer, source, self._own, control, now))

    def handle_start(self, start: Start, source: Endpoint, now: float) -> None:
        """Takes a START, if it comes from whom we may believe."""
        if self._is_enabled:
            self._punching.handle_start(start, source, now)

    def handle_timeout(self, now: float) -> None:
        self._actions.extend(self._introducing.handle_timeout(now))
        self._actions.extend(self._punching.handle_timeout(now))

    def poll(self) -> Action | None:
        """Returns the next thing to do, or None."""
        return self._actions.popleft() if self._actions else None

    def poll_timeout(self) -> float | None:
        due = (self._introducing.poll_timeout(), self._punching.poll_timeout())
        return min((at for at in due if at is not None), default=None)
