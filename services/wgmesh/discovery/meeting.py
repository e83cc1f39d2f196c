"""Rendezvous put to work: the machine is told of the table and of messages, and what it asks is sealed and sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.rendezvous import Offer, Start
from wgmesh.core.sansio import Transmit
from wgmesh.discovery.events import ContactAnswered, ContactTried
from wgmesh.discovery.exchange import Purpose
from wgmesh.discovery.greetings import Greetings
from wgmesh.discovery.lan import LanInterface
from wgmesh.discovery.peer_record import NEVER, PeerRecord
from wgmesh.discovery.rendezvous import Rendezvous
from wgmesh.discovery.rendezvous_values import Outcome, PeerView, Punch, PunchEnded, Send
from wgmesh.discovery.state import DiscoveryState

METHOD = "rendezvous"
SYNC_GAP_S = 0.5  # however often the table changes
SYNC_EVERY_S = 60.0  # proofs grow younger without a change of what is published


class Meeting:
    """Meets peers through introducers, and introduces others."""

    def __init__(
        self, state: DiscoveryState, greetings: Greetings, punching: bool, random_unit: Callable[[], float]
    ) -> None:
        self._state = state
        self._greetings = greetings
        self._machine = Rendezvous(state.rules, punching, random_unit)
        self._synced: object = None
        self._sync_at: float | None = None
        self._shown_at = NEVER

    def set_own(self, key: PublicKey, introducer: bool) -> None:
        self._machine.set_own(key, introducer)

    def set_interfaces(self, interfaces: Iterable[LanInterface], now: float) -> None:
        self._machine.set_interfaces(interfaces, now)

    def heard(self, key: PublicKey, source: Endpoint, now: float) -> None:
        """Notes where a peer's message came from."""
        self._machine.heard(key, source, now)

    def answered(self, key: PublicKey, now: float) -> None:
        """Notes that a peer has answered a HELLO of ours."""
        self._machine.answered(key, now)

    def take(self, body: Offer | Start, source: Endpoint, now: float) -> None:
        """Takes a message."""
        if isinstance(body, Offer):
            self._machine.handle_offer(body, source, now)
        else:
            self._machine.handle_start(body, source, now)

    def handle_timeout(self, now: float) -> None:
        """Does what is due, and what came of the inputs since."""
        self._sync(now)
        if self._is_due(now) and now >= self._shown_at + SYNC_GAP_S:
            self._show(now)  # it may be due only because a proof that we have got is still to be shown to it
        if self._is_due(now):
            self._machine.handle_timeout(now)
        state = self._state
        while (action := self._machine.poll()) is not None:
            match action:
                case Send(to, body):
                    state.outbox.send(Transmit(state.announcer.rendezvous(body, now), to))
                case Punch(key, addresses):
                    self._punch(key, addresses, now)
                case PunchEnded(_, outcome) if outcome is not Outcome.SILENT:
                    state.outbox.report(ContactAnswered(METHOD))

    def poll_timeout(self) -> float | None:
        due = (self._machine.poll_timeout(), self._sync_at)
        return min((at for at in due if at is not None), default=None)

    def _is_due(self, now: float) -> bool:
        due_at = self._machine.poll_timeout()
        return due_at is not None and now >= due_at

    def _sync(self, now: float) -> None:
        """Shows the machine what has changed in the table, not more often than it is worth."""
        if self._state.outbox.content_revision != self._synced:
            soon = now + (0.0 if self._synced is None else SYNC_GAP_S)
            self._sync_at = soon if self._sync_at is None else min(self._sync_at, soon)
        if self._sync_at is not None and now >= self._sync_at:
            self._show(now)

    def _show(self, now: float) -> None:
        self._shown_at = now
        self._sync_at, self._synced = now + SYNC_EVERY_S, self._state.outbox.content_revision
        table = self._state.table
        records = {key: table.get(key) for key in table.take_touched()}
        views = [self._view(record, now) for record in records.values() if record is not None]
        self._machine.sync(views, now, [key for key, record in records.items() if record is None])

    def _view(self, record: PeerRecord, now: float) -> PeerView:
        """A peer that has answered outside the tunnel needs no punch, whatever its tunnel does."""
        answered_at = record.direct_seen_at if record.control_endpoint is not None else None
        reached = [at for at in (record.proven_at, answered_at) if at is not None]
        return PeerView(
            key=record.key,
            control_endpoint=self._greetings.control_address(record, now),
            introducer=record.facts.introducer,
            proven_at=max(reached, default=None),
            hosts=frozenset(record.hosts()),
        )

    def _punch(self, key: PublicKey, addresses: Iterable[Endpoint], now: float) -> None:
        """Says HELLO to all of them at once: each in a fresh burst, for this is the moment that was agreed on."""
        state = self._state
        state.outbox.report(ContactTried(METHOD))
        for address in addresses:
            state.exchange.take_by_address(address)
            self._greetings.ask(address, Purpose.CONTACT, now, key)
