"""Saying HELLO: to addresses not yet proven, to known peers in turn, and what follows from answer or silence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wgmesh.core.model import CandidateSource, Endpoint, PublicKey
from wgmesh.core.timer_queue import TimerQueue
from wgmesh.core.wire.announcement import ECHO_BYTES, Announcement
from wgmesh.core.wire.envelope import nonce_of
from wgmesh.discovery.events import EXCHANGE, STATIC, ContactAnswered, ContactTried, ProbeAnswered, ProbeFailed
from wgmesh.discovery.exchange.announcer import Announcer
from wgmesh.discovery.exchange.transactions import PATIENCE_S, RESEND_AT_S, Purpose, Transaction, Transactions
from wgmesh.discovery.exchange.unanswered import Unanswered
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.candidates import TUNNEL_LOST_S
from wgmesh.discovery.members.contacts import Contact, Contacts, Origin
from wgmesh.discovery.members.membership import Membership, wireguard_port
from wgmesh.discovery.members.pending_goodbyes import CONFIRM_S, GRACE_S
from wgmesh.discovery.members.record import NEVER, PeerRecord
from wgmesh.discovery.messages.authentication import Standing
from wgmesh.discovery.messages.inbox import Inbox, Received, Rejected, Rejection
from wgmesh.discovery.messages.pair_keys import PairKeys
from wgmesh.discovery.messages.rate_limits import ANSWER_TRUST_S
from wgmesh.discovery.outbox import Outbox
from wgmesh.discovery.own import Own
from wgmesh.discovery.silence import Silence

# A peer that has just spoken is there: only loss makes a repeat useful. On a machine where many nodes start at once
# its answer comes late, and a dense burst would make it later still. The same while a key agreement is to be made.
UNHURRIED_RESEND_AT_S = (0.4, 1.0, 2.2)
# Two small datagrams to an address that anybody may have named (BUG 57), and time for one slow answer.
STRANGER_RESEND_AT_S = (0.3,)
STRANGER_PATIENCE_S = 2.0
# Who has answered our HELLO asks back within a round trip, and our answer proves us. Where it is busy with others that
# does not come; so it hears from us once more, now with a proof, which gives way to nobody.
INTRODUCE_S = 0.3
# A HELLO to an address that has never answered leaves out candidates, which the answer to its answer tells: it is all
# that the source of one short HELLO is worth besides our REPLY, and two of them what a peer that is named is worth.
SHORT_BYTES = 600
SHARED_MAX = 8  # more than the two or three that fit, so that one long entry does not leave the room unused


class Hellos:
    """Sends HELLOs and takes REPLYs."""

    def __init__(
        self,
        own: Own,
        announcer: Announcer,
        members: Membership,
        contacts: Contacts,
        pair_keys: PairKeys,
        inbox: Inbox,
        outbox: Outbox,
        rules: AddressRules,
        transactions: Transactions,
        unanswered: Unanswered,
    ) -> None:
        self.transactions = transactions
        self.introductions: TimerQueue[PublicKey] = TimerQueue()
        """Who has answered us, and may still know us by a mere claim."""
        self.unanswered = unanswered
        self.silence = Silence()
        """Whether anybody has ever spoken to the exchange socket since we ask others outside the tunnel."""
        self.on_stranger_met: Callable[[PublicKey, float], None] = lambda key, now: None
        """Told of a member that has answered at an address of the DHT."""
        self.on_stranger_silent: Callable[[Endpoint, float], None] = lambda address, now: None
        """Told of an address of the DHT that has not answered."""
        self._own = own
        self._announcer = announcer
        self._members = members
        self._contacts = contacts
        self._pair_keys = pair_keys
        self._inbox = inbox
        self._outbox = outbox
        self._rules = rules

    def ask(
        self,
        target: Endpoint,
        purpose: Purpose,
        now: float,
        key: PublicKey | None = None,
        patience_s: float = PATIENCE_S,
        share: bool = False,
        resend_at_s: Sequence[float] = RESEND_AT_S,
    ) -> bool:
        """Says HELLO to an exchange address; with `share` it carries known peers. False if that is not possible.

        Nor is it where the address has never answered, and what came for its sake is used up.
        """
        if not self._rules.is_exchange_address(target):
            return False
        if self._rules.is_in_mesh(target.host) and not self._own.candidates():
            return False  # a Go node would take the tunnel for our endpoint
        if self.transactions.join(target, purpose, now, patience_s):
            return True
        if key is not None:
            self._pair_keys.want(key)
        data = self._hello(target, purpose, now, key, share)
        if data is None:
            return False
        transmit = self.transactions.start(target, data, purpose, now, key, patience_s, resend_at_s)
        if transmit is None:
            return False
        self._inbox.trust(target.host, now + patience_s)
        self._outbox.send(transmit)
        if not self._rules.is_in_mesh(target.host):
            self.silence.sent(now)
        return True

    def ask_afresh(
        self,
        target: Endpoint,
        purpose: Purpose,
        now: float,
        key: PublicKey | None,
        patience_s: float = PATIENCE_S,
        resend_at_s: Sequence[float] = RESEND_AT_S,
    ) -> None:
        """Says a new HELLO, also where one is in flight. Where that is not possible, that one was the last for now."""
        attempt = self.transactions.take_by_address(target)
        if not self.ask(target, purpose, now, key, patience_s, resend_at_s=resend_at_s) and attempt is not None:
            self._give_up(attempt, now)

    def _hello(
        self, target: Endpoint, purpose: Purpose, now: float, key: PublicKey | None, share: bool
    ) -> bytes | None:
        """Returns the HELLO, None where it may not be said."""
        if self._rules.is_in_mesh(target.host) or self.unanswered.is_free(target.host, now):
            return self._announcer.hello(target, now, self.known_to(key) if share else (), key)
        if purpose is Purpose.PROBE or self._is_operators(target):
            data = self._announcer.hello(target, now, (), key)
            self.unanswered.grant(target.host, len(data))
            return data
        room = self.unanswered.room(target.host, now) if share else SHORT_BYTES
        data = self._announcer.hello(target, now, self.known_to(key) if share else (), key, max(room, SHORT_BYTES))
        contact = self._contacts.get(target)
        if contact is not None and contact.has_rounds:
            self.unanswered.begin_round(target.host, len(data), now)
        return data if self.unanswered.admits_question(target.host, len(data), now) else None

    def known_to(self, key: PublicKey | None) -> tuple[PeerRecord, ...]:
        """The peers worth telling somebody, all but himself and those that are silent: those whose turn it is."""
        table = self._members.table
        keys = table.rotation.first(SHARED_MAX, besides=key)
        return tuple(record for each in keys if (record := table.get(each)) is not None)

    def pay_for_operator(self, target: Endpoint, size: int) -> None:
        """Pays for a datagram to an address that the operator has named."""
        if self._is_operators(target) or self.transactions.asks_for(target, Purpose.PROBE):
            self.unanswered.grant(target.host, size)

    def _is_operators(self, target: Endpoint) -> bool:
        contact = self._contacts.get(target)
        return contact is not None and contact.origin is Origin.STATIC

    def room_for_answer(self, source: Endpoint, now: float, asks_back: bool) -> float:
        """How long an answer may be, so that a question of ours that follows is paid for as well."""
        if self._rules.is_in_mesh(source.host):
            return float("inf")
        return self.unanswered.room(source.host, now) - (SHORT_BYTES if asks_back else 0)

    def ask_contacts(self, now: float) -> None:
        """Asks the addresses whose turn it is. No known peers: who answers there is not proven yet."""
        for contact in self._contacts.due(now):
            patience_s = STRANGER_PATIENCE_S if contact.origin is Origin.DHT else PATIENCE_S
            resend_at_s = self._resend_at_s(contact)
            if self.ask(contact.address, Purpose.CONTACT, now, contact.key, patience_s, resend_at_s=resend_at_s):
                self._outbox.report(ContactTried(method_word(contact.origin)))
            else:
                self._contacts.failed(contact.address, now)
                if contact.origin is Origin.DHT:  # its place among the few of the DHT is another's
                    self.on_stranger_silent(contact.address, now)

    def _resend_at_s(self, contact: Contact) -> Sequence[float]:
        if contact.origin is Origin.DHT:
            return STRANGER_RESEND_AT_S
        is_agreed = contact.key is None or self._pair_keys.is_settled(contact.key)
        return UNHURRIED_RESEND_AT_S if contact.origin is Origin.HEARD or not is_agreed else RESEND_AT_S

    def refresh_peers(self, now: float) -> None:
        """Lets the known peers hear from us, each at its turn."""
        table = self._members.table
        for key in self._members.refreshes.due(now, lambda key: self._is_content(table.get(key), now)):
            record = table.get(key)
            if record is not None:
                self._refresh(record, now)

    def _is_content(self, record: PeerRecord | None, now: float) -> bool:
        """Whether a peer misses nothing when we say little: WireGuard proves us, and gossip tells of the others."""
        return record is not None and record.facts.native and now - (record.proven_at or NEVER) < TUNNEL_LOST_S

    def _refresh(self, record: PeerRecord, now: float) -> None:
        """Lets a peer hear from us: through the tunnel while that works, else outside."""
        through_tunnel = self.tunnel_address(record)
        is_open = record.is_proven(now) and self._rules.is_in_mesh(through_tunnel.host)
        share = not record.facts.native  # our own kind hears of others by gossip
        if not (is_open and self._ask_again(through_tunnel, record.key, share, now)):
            self._refresh_outside(record, now)

    def _ask_again(self, address: Endpoint, key: PublicKey, share: bool, now: float) -> bool:
        """Says HELLO to a peer that we know: no reason to hurry."""
        return self.ask(address, Purpose.REFRESH, now, key, share=share, resend_at_s=UNHURRIED_RESEND_AT_S)

    def confirm(self, record: PeerRecord, now: float) -> None:
        """Asks a peer that seems to have left, everywhere it was, with a HELLO that nobody has answered yet."""
        for target in (self.tunnel_address(record), self.control_address(record, now)):
            if target is not None:
                self.ask_afresh(target, Purpose.CONFIRM, now, record.key, CONFIRM_S - GRACE_S)

    def control_address(self, record: PeerRecord, now: float) -> Endpoint | None:
        """Where a peer listens for exchange messages: where it answered, else at its best address."""
        if record.control_endpoint is not None:
            return record.control_endpoint
        best = record.candidates.best_first(now)
        return Endpoint(best[0].endpoint.host, self._members.exchange_port_of(record)) if best else None

    def tunnel_address(self, record: PeerRecord) -> Endpoint:
        """Where a peer listens for exchange messages inside the tunnel."""
        return Endpoint(record.facts.mesh_ipv4, self._members.exchange_port_of(record))

    def take_reply(self, received: Received, standing: Standing, now: float) -> None:
        """Takes a REPLY to a HELLO of ours. Raises Rejected for any other."""
        message, source, body = received.message, received.source, received.message.body
        assert isinstance(body, Announcement)
        if standing is Standing.DOUBTFUL:
            raise Rejected(Rejection.UNPROVEN)
        attempt = self.transactions.take_by_address(source)
        is_exact = attempt is not None
        if attempt is None:
            attempt = self.transactions.take_by_key(message.sender)
        if attempt is None:
            raise Rejected(Rejection.UNSOLICITED)
        if is_exact and body.extension is not None and body.extension.echo == nonce_of(attempt.data)[:ECHO_BYTES]:
            self.unanswered.answered(source.host, now)
        before = self._members.table.get(message.sender)
        place_before = None if before is None else before.control_endpoint
        is_there = self._learn_from(received, standing, is_exact, now)
        if is_there and not self._rules.is_in_mesh(source.host):
            self._trust_source(message.sender, body, source, now)
        if standing is Standing.PROVEN and Purpose.CONTACT in attempt.purposes:
            self.introductions.set(message.sender, now + INTRODUCE_S)
        if is_exact:
            self._inbox.trust(source.host, now + ANSWER_TRUST_S)
        self._conclude(attempt, message.sender, body, now)
        is_untold = is_there and place_before != source and Purpose.CONTACT in attempt.purposes
        if is_untold and body.extension is None and self.known_to(message.sender):
            self._ask_again(source, message.sender, share=True, now=now)  # our first words to it named nobody

    def _learn_from(self, received: Received, standing: Standing, is_exact: bool, now: float) -> bool:
        """Whether the peer is at the address that was asked. It is not where more is known of it than a REPLY says."""
        message, source, body = received.message, received.source, received.message.body
        assert isinstance(body, Announcement)
        if not is_exact and not self._members.clocks.is_current(
            message.sender, message.stamp, standing is Standing.PROVEN
        ):
            return False
        evidence = self._members.weigh(message.sender, source, standing, now, is_answer=is_exact)
        if self._members.is_outranked(message, body, evidence, source, now):
            return False
        is_learned = self._members.learn(message, body, EXCHANGE, source, now, evidence)
        record = self._members.table.get(message.sender)
        return is_exact and is_learned and record is not None and record.is_verified

    def handle_timeout(self, now: float) -> None:
        """Repeats HELLOs and draws the consequences of silence."""
        transmits, failed = self.transactions.handle_timeout(now)
        for transmit in transmits:
            self.pay_for_operator(transmit.to, len(transmit.data))
            self._outbox.send(transmit)
        for attempt in failed:
            self._give_up(attempt, now)
        for key in self.introductions.take_all(now):
            record = self._members.table.get(key)
            if record is not None and not record.is_proven(now):
                self._refresh_outside(record, now)

    def _refresh_outside(self, record: PeerRecord, now: float) -> None:
        address = self.control_address(record, now)
        if address is not None:
            self._ask_again(address, record.key, record.control_endpoint is not None, now)

    def _trust_source(self, key: PublicKey, body: Announcement, source: Endpoint, now: float) -> None:
        """The address asked has answered: it is where the peer is, and what it has seen of us is a testimony."""
        self._outbox.note(self._members.table.set_control_endpoint(key, source), now)
        endpoint = Endpoint(source.host, wireguard_port(body))
        self._members.add_candidate(key, endpoint, CandidateSource.OBSERVED, now)
        # our own kind announces itself there within a second, which keeps this candidate
        if body.extension is not None and any(each.is_attached(source) for each in self._own.lan_interfaces):
            self._members.add_candidate(key, endpoint, CandidateSource.LAN, now)
        observed = body.observed_endpoint
        if observed is not None and not self._rules.is_in_mesh(observed.host):
            self._outbox.note(self._members.table.set_witness(key, observed, now), now)

    def _conclude(self, attempt: Transaction, key: PublicKey, body: Announcement, now: float) -> None:
        contact = self._contacts.get(attempt.target)
        if contact is not None:
            self._outbox.report(ContactAnswered(method_word(contact.origin)))
            if contact.origin is Origin.DHT:
                self.on_stranger_met(key, now)
            if self._contacts.answered(attempt.target, now):
                endpoint = Endpoint(attempt.target.host, wireguard_port(body))
                self._members.add_candidate(key, endpoint, CandidateSource.STATIC, now)
                self._outbox.note(self._members.table.label(key, STATIC), now)
        if Purpose.CONFIRM in attempt.purposes:
            self._members.pending_goodbyes.clear(key)
        if Purpose.PROBE in attempt.purposes:
            rtt_s = now - attempt.started_at
            answer = ProbeAnswered(attempt.target, key, body.hostname, body.mesh_ipv4, rtt_s, body.observed_endpoint)
            self._outbox.report(answer)

    def _give_up(self, attempt: Transaction, now: float) -> None:
        contact = self._contacts.get(attempt.target)
        if contact is not None and self._is_needless(contact, now):
            self._contacts.drop(attempt.target)
        else:
            self._contacts.failed(attempt.target, now)
        if contact is not None and contact.origin is Origin.DHT:
            self.on_stranger_silent(attempt.target, now)
        if Purpose.PROBE in attempt.purposes:
            self._outbox.report(ProbeFailed(attempt.target))
        if attempt.key is not None and not self._rules.is_in_mesh(attempt.target.host):
            self._outbox.note(self._members.table.note_silence(attempt.key, attempt.target, now), now)
        record = None if attempt.key is None else self._members.table.get(attempt.key)
        if Purpose.REFRESH not in attempt.purposes or record is None:
            return
        if self._rules.is_in_mesh(attempt.target.host):
            self._refresh_outside(record, now)
            return
        for candidate in record.candidates.best_first(now):
            address = Endpoint(candidate.endpoint.host, self._members.exchange_port_of(record))
            if address != attempt.target:
                self._contacts.add(address, Origin.SECOND_HAND, now, record.key)

    def _is_needless(self, contact: Contact, now: float) -> bool:
        """Whether a silent address is one of a peer that is reached elsewhere: anybody can name any number of those."""
        record = None if contact.key is None else self._members.table.get(contact.key)
        return contact.origin is not Origin.STATIC and record is not None and record.is_proven(now)


def method_word(origin: Origin) -> str:
    return origin.name.lower().replace("_", "-")
