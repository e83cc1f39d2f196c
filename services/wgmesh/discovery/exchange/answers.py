"""Answering others: a REPLY to each HELLO, a PROBE_REPLY to each PROBE."""

from __future__ import annotations

from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.sansio import Transmit
from wgmesh.core.wire.announcement import Announcement
from wgmesh.core.wire.probe import Probe
from wgmesh.discovery.events import EXCHANGE
from wgmesh.discovery.exchange.announcer import Announcer
from wgmesh.discovery.exchange.hellos import Hellos
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.contacts import Contacts, Origin
from wgmesh.discovery.members.membership import Membership
from wgmesh.discovery.messages.authentication import Standing
from wgmesh.discovery.messages.inbox import Received
from wgmesh.discovery.messages.replay import Novelty
from wgmesh.discovery.outbox import Outbox


class Answers:
    """Answers what is asked of us, and learns from it what may be believed."""

    def __init__(
        self,
        announcer: Announcer,
        members: Membership,
        contacts: Contacts,
        hellos: Hellos,
        outbox: Outbox,
        rules: AddressRules,
    ) -> None:
        self._announcer = announcer
        self._members = members
        self._contacts = contacts
        self._hellos = hellos
        self._outbox = outbox
        self._rules = rules

    def take_hello(self, received: Received, standing: Standing, now: float) -> None:
        """Answers, each time: Go resends the same bytes until it hears a REPLY. Learns at the first time only."""
        key, source = received.message.sender, received.source
        is_new = received.message.novelty is Novelty.NEW
        is_proven = standing is Standing.PROVEN
        if is_proven:
            self._hellos.introductions.drop(key)  # our answer proves us to it
        if is_new and self._members.clocks.is_current(key, received.message.stamp, is_proven):
            self._learn(received, standing, now)
        record = self._members.table.get(key)
        knows_the_rest = record is not None and record.facts.native and record.is_proven(now)
        known = self._hellos.known_to(key) if is_new and not knows_the_rest else ()
        asks_back = record is None or record.control_endpoint != source
        room = self._hellos.room_for_answer(source, now, asks_back)
        reply = self._announcer.reply(source, now, key, known, room, received.message)
        self._outbox.send(Transmit(reply, source))

    def take_probe(self, probe: Probe, source: Endpoint, now: float) -> None:
        """Answers, and forgets who has asked."""
        self._outbox.send(Transmit(self._announcer.probe_reply(probe, source, now), source))

    def _learn(self, received: Received, standing: Standing, now: float) -> None:
        message, source, body = received.message, received.source, received.message.body
        assert isinstance(body, Announcement)
        key = message.sender
        is_new_run = self._members.clocks.is_new_run(key, message.stamp)
        before = self._members.table.get(key)
        is_at_home = before is not None and before.is_proven(now) and standing is not Standing.PROVEN
        if standing is Standing.DOUBTFUL:
            if not is_at_home:
                # it may have forgotten us: our HELLO lets it prove itself
                self._ask_back(key, source, now, eager=True)
            return
        evidence = self._members.weigh(key, source, standing, now)
        is_outranked = self._members.is_outranked(message, body, evidence, source, now)
        if not is_outranked and not self._members.learn(message, body, EXCHANGE, source, now, evidence):
            return
        record = self._members.table.get(key)
        is_stranger = record is None or record.control_endpoint is None
        if is_at_home and not is_stranger:
            return  # its tunnel works, so it is not where these bytes came from, or will prove that it is
        if is_new_run or record is None or record.control_endpoint != source:
            self._ask_back(key, source, now, eager=is_new_run or is_stranger)

    def _ask_back(self, key: PublicKey, source: Endpoint, now: float, eager: bool) -> None:
        """A HELLO says where its sender seems to be; only an answer of our own proves it (BUG 15)."""
        if not self._rules.is_in_mesh(source.host):
            self._contacts.add(source, Origin.HEARD, now, key, eager=eager)
