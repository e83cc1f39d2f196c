"""Upstream's gossip, for upstream's peers: a list pushed through the tunnel, which they merge into what they have."""

from __future__ import annotations

from collections.abc import Callable

from wgmesh.core.sansio import Transmit
from wgmesh.core.wire.announcement import Announcement
from wgmesh.discovery.events import GOSSIP
from wgmesh.discovery.exchange.announcer import Announcer
from wgmesh.discovery.exchange.hellos import Hellos
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.evidence import Evidence
from wgmesh.discovery.members.membership import Membership
from wgmesh.discovery.messages.authentication import Standing
from wgmesh.discovery.messages.inbox import Received, Rejected, Rejection
from wgmesh.discovery.outbox import Outbox
from wgmesh.discovery.own import Own

INTERVAL_S = 10.0  # upstream's (protocol notes, section 13)


class UpstreamGossip:
    """Pushes to one of upstream's peers every ten seconds, and takes what they push; where the operator wants it."""

    def __init__(
        self,
        own: Own,
        announcer: Announcer,
        members: Membership,
        hellos: Hellos,
        outbox: Outbox,
        rules: AddressRules,
        random_unit: Callable[[], float],
        is_wanted: bool,
    ) -> None:
        self.is_wanted = is_wanted
        self._own = own
        self._announcer = announcer
        self._members = members
        self._hellos = hellos
        self._outbox = outbox
        self._rules = rules
        self._random_unit = random_unit
        self._next_at: float | None = None

    def begin(self, now: float) -> None:
        """Begins to push. Doing it again changes nothing."""
        if self.is_wanted and self._next_at is None:
            self._next_at = now + INTERVAL_S

    def handle_timeout(self, now: float) -> None:
        if self._next_at is None or now < self._next_at:
            return
        self._next_at = now + INTERVAL_S
        records = self._members.table.records()
        reachable = [record for record in records if record.is_proven(now) and not record.facts.native]
        if not reachable or not self._own.candidates():
            return
        record = reachable[min(int(self._random_unit() * len(reachable)), len(reachable) - 1)]
        to = self._hellos.tunnel_address(record)
        self._outbox.send(Transmit(self._announcer.announce(to, now, self._hellos.known_to(record.key)), to))

    def poll_timeout(self) -> float | None:
        return self._next_at

    def take(self, received: Received, standing: Standing, now: float) -> None:
        """Takes a list. It travels inside the tunnel, where WireGuard vouches for the source: elsewhere it is forged.

        Raises Rejected.
        """
        message, source, body = received.message, received.source, received.message.body
        assert isinstance(body, Announcement)
        evidence = self._members.weigh(message.sender, source, standing, now)
        is_vouched_for = evidence is Evidence.TUNNEL or (
            standing is Standing.PROVEN and self._rules.is_in_mesh(source.host)
        )
        if not is_vouched_for or not (self.is_wanted or body.extension is not None):
            raise Rejected(Rejection.UNEXPECTED)
        self._members.learn(message, body, GOSSIP, source, now, evidence)
