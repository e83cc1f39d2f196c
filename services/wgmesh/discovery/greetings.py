"""Saying HELLO: to addresses not yet proven, to known peers in turn, and what follows from answer or silence."""

from __future__ import annotations

from collections.abc import Callable

from wgmesh.core.announcement import Announcement
from wgmesh.core.model import CandidateSource, Endpoint, PublicKey
from wgmesh.discovery.candidates import TUNNEL_LOST_S
from wgmesh.discovery.contacts import Origin
from wgmesh.discovery.events import ContactAnswered, ContactTried, ProbeAnswered, ProbeFailed
from wgmesh.discovery.exchange import PATIENCE_S, RESEND_AT_S, Attempt, Purpose
from wgmesh.discovery.farewells import CONFIRM_S, GRACE_S
from wgmesh.discovery.gate import ANSWER_TRUST_S
from wgmesh.discovery.inbox import Message, Rejected, Rejection
from wgmesh.discovery.peer_record import NEVER, Change, PeerRecord
from wgmesh.discovery.roster import Roster, wireguard_port
from wgmesh.discovery.standing import Standing
from wgmesh.discovery.state import DiscoveryState, Witness

EXCHANGE = "exchange"
STATIC = "static"
REPEATS = len(RESEND_AT_S)
# Three small datagrams to an address that anybody may have named (BUG 57), and time for one slow answer.
STRANGER_REPEATS = 2
STRANGER_PATIENCE_S = 2.0
SHARED_MAX = 8  # more than the two or three that fit, so that one long entry does not leave the room unused


class Greetings:
    """Sends HELLOs and takes REPLYs."""

    def __init__(self, state: DiscoveryState, roster: Roster) -> None:
        self._state = state
        self._roster = roster
        self.on_stranger_met: Callable[[PublicKey, float], None] | None = None
        """Told of a member that has answered at an address of the DHT."""
        self.on_stranger_silent: Callable[[Endpoint, float], None] | None = None
        """Told of an address of the DHT that has not answered."""

    def ask(
        self,
        target: Endpoint,
        purpose: Purpose,
        now: float,
        key: PublicKey | None = None,
        patience_s: float = PATIENCE_S,
        share: bool = False,
        repeats_max: int = REPEATS,
    ) -> bool:
        """Says HELLO to an exchange address; with `share` it carries known peers. False if that is not possible."""
        state = self._state
        if not state.rules.is_exchange_address(target):
            return False
        if state.rules.is_in_mesh(target.host) and not state.announcer.own_candidates():
            return False  # a Go node would take the tunnel for our endpoint
        if state.exchange.join(target, purpose, now, patience_s):
            return True
        if key is not None:
            state.pair_keys.want(key)
        known = self.known_to(key) if share else ()
        data = state.announcer.hello(target, now, known, key)
        transmit = state.exchange.start(target, data, purpose, now, key, patience_s, repeats_max)
        if transmit is None:
            return False
        state.gate.trust(target.host, now + patience_s)
        state.outbox.send(transmit)
        return True

    def known_to(self, key: PublicKey | None) -> tuple[PeerRecord, ...]:
        """The peers worth telling somebody, all but himself: those whose turn it is."""
        table = self._state.table
        keys = table.rotation.first(SHARED_MAX, besides=key)
        return tuple(record for each in keys if (record := table.get(each)) is not None)

    def ask_contacts(self, now: float) -> None:
        """Asks the addresses whose turn it is. No known peers: who answers there is not proven yet."""
        for contact in self._state.contacts.due(now):
            is_stranger = contact.origin is Origin.DHT
            patience_s, repeats_max = (STRANGER_PATIENCE_S, STRANGER_REPEATS) if is_stranger else (PATIENCE_S, REPEATS)
            if self.ask(
                contact.address, Purpose.CONTACT, now, contact.key, patience_s=patience_s, repeats_max=repeats_max
            ):
                self._state.outbox.report(ContactTried(_method(contact.origin)))
            else:
                self._state.contacts.failed(contact.address, now)

    def refresh_peers(self, now: float) -> None:
        """Lets the known peers hear from us, each at its turn."""
        table = self._state.table
        for key in self._state.refreshes.due(now, lambda key: self._is_content(table.get(key), now)):
            record = table.get(key)
            if record is not None:
                self._refresh(record, now)

    def _is_content(self, record: PeerRecord | None, now: float) -> bool:
        """Whether a peer misses nothing when we say little: WireGuard proves us, and gossip tells of the others."""
        return record is not None and record.facts.native and now - (record.proven_at or NEVER) < TUNNEL_LOST_S

    def _refresh(self, record: PeerRecord, now: float) -> None:
        """Lets a peer hear from us: through the tunnel while that works, else outside."""
        through_tunnel = self.tunnel_address(record)
        is_open = record.is_proven(now) and self._state.rules.is_in_mesh(through_tunnel.host)
        share = not record.facts.native  # our own kind hears of others by gossip
        if not (is_open and self.ask(through_tunnel, Purpose.REFRESH, now, record.key, share=share)):
            self._refresh_outside(record, now)

    def confirm(self, record: PeerRecord, now: float) -> None:
        """Asks a peer that seems to have left, everywhere it was, with a HELLO that nobody has answered yet."""
        for target in (self.tunnel_address(record), self.control_address(record, now)):
            if target is not None:
                self._state.exchange.take_by_address(target)
                self.ask(target, Purpose.CONFIRM, now, record.key, CONFIRM_S - GRACE_S)

    def control_address(self, record: PeerRecord, now: float) -> Endpoint | None:
        """Where a peer listens for exchange messages: where it answered, else at its best address."""
        if record.control_endpoint is not None:
            return record.control_endpoint
        best = record.candidates.best_first(now)[:1]
        return Endpoint(best[0].endpoint.host, self._state.exchange_port_of(record)) if best else None

    def tunnel_address(self, record: PeerRecord) -> Endpoint:
        """Where a peer listens for exchange messages inside the tunnel."""
        return Endpoint(record.facts.mesh_ipv4, self._state.exchange_port_of(record))

    def handle_reply(
        self, message: Message, body: Announcement, standing: Standing, source: Endpoint, now: float
    ) -> None:
        """Takes a REPLY to a HELLO of ours. Raises Rejected for any other."""
        state = self._state
        if standing is Standing.DOUBTFUL:
            raise Rejected(Rejection.UNPROVEN)
        attempt = state.exchange.take_by_address(source)
        is_exact = attempt is not None
        if attempt is None:
            attempt = state.exchange.take_by_key(message.sender)
        if attempt is None:
            raise Rejected(Rejection.UNSOLICITED)
        if is_exact or state.clocks.is_current(message.sender, message.stamp):
            self._roster.learn(message, body, EXCHANGE, source, now)
        if is_exact:
            state.gate.trust(source.host, now + ANSWER_TRUST_S)
        if is_exact and not state.rules.is_in_mesh(source.host):
            self._trust_source(message.sender, body, source, now)
        self._settle(attempt, message.sender, body, now)

    def handle_timeout(self, now: float) -> None:
        """Repeats HELLOs and draws the consequences of silence."""
        transmits, failed = self._state.exchange.handle_timeout(now)
        for transmit in transmits:
            self._state.outbox.send(transmit)
        for attempt in failed:
            self._give_up(attempt, now)

    def _refresh_outside(self, record: PeerRecord, now: float) -> None:
        address = self.control_address(record, now)
        if address is not None:
            self.ask(address, Purpose.REFRESH, now, record.key, share=record.control_endpoint is not None)

    def _trust_source(self, key: PublicKey, body: Announcement, source: Endpoint, now: float) -> None:
        """The address asked has answered: it is where the peer is, and what it has seen of us is a testimony."""
        state = self._state
        state.outbox.note(state.table.set_control_endpoint(key, source), now)
        endpoint = Endpoint(source.host, wireguard_port(body))
        self._roster.add_candidate(key, endpoint, CandidateSource.OBSERVED, now)
        # our own kind announces itself there within a second, which keeps this candidate
        if body.extension is not None and any(each.is_attached(source) for each in state.lan.interfaces):
            self._roster.add_candidate(key, endpoint, CandidateSource.LAN, now)
        observed = body.observed_endpoint
        if observed is not None and key in state.table and not state.rules.is_in_mesh(observed.host):
            known = state.witnesses.get(key)
            if known is None or known.endpoint != observed:
                state.outbox.note(Change.CONTENT, now)
            state.witnesses[key] = Witness(observed, now)

    def _settle(self, attempt: Attempt, key: PublicKey, body: Announcement, now: float) -> None:
        state = self._state
        contact = state.contacts.get(attempt.target)
        if contact is not None:
            state.outbox.report(ContactAnswered(_method(contact.origin)))
            if contact.origin is Origin.DHT and self.on_stranger_met is not None:
                self.on_stranger_met(key, now)
            if state.contacts.answered(attempt.target, now):
                endpoint = Endpoint(attempt.target.host, wireguard_port(body))
                self._roster.add_candidate(key, endpoint, CandidateSource.STATIC, now)
                state.outbox.note(state.table.label(key, STATIC), now)
        if Purpose.CONFIRM in attempt.purposes:
            state.farewells.clear(key)
        if Purpose.PROBE in attempt.purposes:
            rtt_s = now - attempt.started_at
            answer = ProbeAnswered(attempt.target, key, body.hostname, body.mesh_ipv4, rtt_s, body.observed_endpoint)
            state.outbox.report(answer)

    def _give_up(self, attempt: Attempt, now: float) -> None:
        state = self._state
        contact = state.contacts.get(attempt.target)
        state.contacts.failed(attempt.target, now)
        if contact is not None and contact.origin is Origin.DHT and self.on_stranger_silent is not None:
            self.on_stranger_silent(attempt.target, now)
        if Purpose.PROBE in attempt.purposes:
            state.outbox.report(ProbeFailed(attempt.target))
        record = None if attempt.key is None else state.table.get(attempt.key)
        if Purpose.REFRESH not in attempt.purposes or record is None:
            return
        if state.rules.is_in_mesh(attempt.target.host):
            self._refresh_outside(record, now)
            return
        for candidate in record.candidates.best_first(now):
            address = Endpoint(candidate.endpoint.host, state.exchange_port_of(record))
            if address != attempt.target:
                state.contacts.add(address, Origin.SECOND_HAND, now, record.key)


def _method(origin: Origin) -> str:
    return origin.name.lower().replace("_", "-")
