"""Rendezvous: introducers tell two peers of each other. The machine decides; what it asks is sealed and sent here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.sansio import Transmit
from wgmesh.core.wire.rendezvous import Offer, Start
from wgmesh.discovery.events import ContactAnswered, ContactTried
from wgmesh.discovery.exchange.announcer import Announcer
from wgmesh.discovery.exchange.hellos import Hellos
from wgmesh.discovery.exchange.transactions import RESEND_AT_S, Purpose
from wgmesh.discovery.layer import Layer
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.contacts import Contacts, Origin
from wgmesh.discovery.members.record import NEVER, PeerRecord
from wgmesh.discovery.members.table import PeerTable
from wgmesh.discovery.messages.authentication import Standing
from wgmesh.discovery.messages.inbox import Received
from wgmesh.discovery.outbox import Outbox
from wgmesh.discovery.own import Own
from wgmesh.discovery.rendezvous.machine import Rendezvous
from wgmesh.discovery.rendezvous.values import Outcome, PeerView, Punch, PunchEnded, Send

RENDEZVOUS = "rendezvous"
PUNCH_RESEND_AT_S = (0.3, 1.0, 2.2)
SYNC_GAP_S = 0.5  # however often the table changes
SYNC_EVERY_S = 60.0  # proofs grow younger without a change of what is published


class RendezvousLayer(Layer):
    """Meets peers through introducers, and introduces others."""

    name = RENDEZVOUS

    def __init__(
        self,
        own: Own,
        announcer: Announcer,
        table: PeerTable,
        contacts: Contacts,
        hellos: Hellos,
        outbox: Outbox,
        rules: AddressRules,
        punching: bool,
        random_unit: Callable[[], float],
    ) -> None:
        self._own = own
        self._announcer = announcer
        self._table = table
        self._contacts = contacts
        self._hellos = hellos
        self._outbox = outbox
        self._machine = Rendezvous(own.wall, rules, punching, random_unit)
        self._synced: object = None
        self._sync_at: float | None = None
        self._shown_at = NEVER

    def described(self, now: float) -> None:
        self._machine.set_own(self._own.key, self._own.described.introducer)

    def moved(self, now: float) -> None:
        self._machine.set_interfaces(self._own.interfaces, now)

    def heard(self, key: PublicKey, source: Endpoint, now: float) -> None:
        """Others are led there, so it has to be somebody's who answers there."""
        if self._hellos.unanswered.is_free(source.host, now):
            self._machine.heard(key, source, now)

    def answered(self, key: PublicKey, now: float) -> None:
        self._machine.answered(key, now)

    def take(self, received: Received, standing: Standing, now: float) -> None:
        """Takes an OFFER or a START."""
        body = received.message.body
        if isinstance(body, Offer) and not self._hellos.unanswered.is_free(received.source.host, now):
            self._contacts.add(
                received.source, Origin.HEARD, now, body.requester, eager=True
            )  # and its next one counts
        elif isinstance(body, Offer):
            self._machine.handle_offer(body, received.source, now)
        elif isinstance(body, Start):
            self._machine.handle_start(body, received.source, now)

    def handle_timeout(self, now: float) -> None:
        """Does what is due, and what came of the inputs since."""
        self._sync(now)
        if self._is_due(now) and now >= self._shown_at + SYNC_GAP_S:
            self._show(now)  # it may be due only because a proof that we have got is still to be shown to it
        if self._is_due(now):
            self._machine.handle_timeout(now)
        while (action := self._machine.poll()) is not None:
            match action:
                case Send(to, body):
                    self._outbox.send(Transmit(self._announcer.rendezvous(body, now), to))
                case Punch(key, addresses):
                    self._punch(key, addresses, now)
                case PunchEnded(_, outcome) if outcome is not Outcome.SILENT:
                    self._outbox.report(ContactAnswered(RENDEZVOUS))

    def poll_timeout(self) -> float | None:
        due = (self._machine.poll_timeout(), self._sync_at)
        return min((at for at in due if at is not None), default=None)

    def _is_due(self, now: float) -> bool:
        due_at = self._machine.poll_timeout()
        return due_at is not None and now >= due_at

    def _sync(self, now: float) -> None:
        """Shows the machine what has changed in the table, not more often than it is worth."""
        if self._outbox.content_revision != self._synced:
            soon = now + (0.0 if self._synced is None else SYNC_GAP_S)
            self._sync_at = soon if self._sync_at is None else min(self._sync_at, soon)
        if self._sync_at is not None and now >= self._sync_at:
            self._show(now)

    def _show(self, now: float) -> None:
        self._shown_at = now
        self._sync_at, self._synced = now + SYNC_EVERY_S, self._outbox.content_revision
        records = {key: self._table.get(key) for key in self._table.take_touched()}
        views = [self._view(record, now) for record in records.values() if record is not None]
        self._machine.sync(views, now, [key for key, record in records.items() if record is None])

    def _view(self, record: PeerRecord, now: float) -> PeerView:
        """A peer that has answered outside the tunnel needs no punch, whatever its tunnel does."""
        answered_at = record.direct_seen_at if record.control_endpoint is not None else None
        has_proof = record.possession_at is not None or record.proven_at is not None
        reached = [at for at in (record.proven_at, answered_at) if at is not None]
        return PeerView(
            key=record.key,
            control_endpoint=self._hellos.control_address(record, now),
            introducer=record.facts.introducer,
            proven_at=max(reached, default=None),
            is_vouched=record.control_endpoint is not None and has_proof,
            is_lost=record.is_lost,
        )

    def _punch(self, key: PublicKey, addresses: Iterable[Endpoint], now: float) -> None:
        """Says HELLO to all of them at once, for this is the moment that was agreed on.

        Few datagrams are to be had where nobody has answered. The first address is the likeliest, so it gets the
        repeats; one packet opens our NAT for half a minute, and those are there for what is lost.
        """
        self._outbox.report(ContactTried(RENDEZVOUS))
        for place, address in enumerate(addresses):
            is_free = self._hellos.unanswered.is_free(address.host, now)
            likely, other = (RESEND_AT_S, RESEND_AT_S) if is_free else (PUNCH_RESEND_AT_S, ())
            self._hellos.ask_afresh(address, Purpose.CONTACT, now, key, resend_at_s=other if place else likely)
