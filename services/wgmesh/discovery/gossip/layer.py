"""Gossip: members compare what they know through their tunnels. Rounds become datagrams, answers become news."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wgmesh.core.model import Endpoint, LayerState, PublicKey
from wgmesh.core.sansio import Transmit
from wgmesh.core.wire.gossip_message import PREFIX_BYTES, Gossip
from wgmesh.discovery.events import GOSSIP
from wgmesh.discovery.exchange.announcer import Announcer
from wgmesh.discovery.gossip.rounds import DATAGRAMS_MAX, GossipRounds, react
from wgmesh.discovery.gossip.upstream import UpstreamGossip
from wgmesh.discovery.layer import Health, Layer
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.members.digest import View, bucket_count, summary_of
from wgmesh.discovery.members.membership import Membership
from wgmesh.discovery.members.record import PeerRecord
from wgmesh.discovery.messages.authentication import Standing
from wgmesh.discovery.messages.inbox import Received, Rejected, Rejection
from wgmesh.discovery.outbox import Outbox
from wgmesh.discovery.own import Own


class GossipLayer(Layer):
    """Compares our view of the mesh with that of others."""

    name = GOSSIP

    def __init__(
        self,
        own: Own,
        announcer: Announcer,
        members: Membership,
        outbox: Outbox,
        rules: AddressRules,
        upstream: UpstreamGossip,
        random_unit: Callable[[], float],
    ) -> None:
        self.upstream = upstream
        self._own = own
        self._announcer = announcer
        self._members = members
        self._outbox = outbox
        self._rules = rules
        self._rounds = GossipRounds(random_unit)
        members.on_news = self._note_news

    def health(self) -> Health:
        return Health(LayerState.RUNNING, "upstream's too" if self.upstream.is_wanted else "")

    def described(self, now: float) -> None:
        self.upstream.begin(now)

    def handle_timeout(self, now: float) -> None:
        self.upstream.handle_timeout(now)
        at = self._rounds.poll_timeout()
        if at is None or now < at:
            return
        table = self._members.table
        reachable = [record.key for record in table.records() if self._is_reachable(record, now)]
        turn = self._rounds.due(now, reachable, self._view())
        if turn is None:
            return
        news = [record for key in turn.news if (record := table.get(key)) is not None]
        for key in turn.peers:
            record = table.get(key)
            if record is not None:
                told = [each for each in news if each.key != key]
                self._send(record, self._announcer.gossip(key, now, summary=turn.summary, records=told))

    def poll_timeout(self) -> float | None:
        due = (self._rounds.poll_timeout(), self.upstream.poll_timeout())
        return min((at for at in due if at is not None), default=None)

    def proven(self, records: Sequence[PeerRecord], now: float) -> None:
        """Compares with peers whose tunnels have just begun to work, if we are new ourselves."""
        for record in records:
            if self._is_reachable(record, now) and self._rounds.greet(now):
                view = self._view()
                summary = summary_of(view, bucket_count(len(view)))
                self._send(record, self._announcer.gossip(record.key, now, summary=summary))

    def take(self, received: Received, standing: Standing, now: float) -> None:
        """Answers a message, and hands on what it tells. It counts only from inside the tunnel. Raises Rejected."""
        sender, source, body = received.message.sender, received.source, received.message.body
        assert isinstance(body, Gossip)
        table = self._members.table
        record = table.get(sender)
        if standing is not Standing.PROVEN:
            raise Rejected(Rejection.UNPROVEN)
        if record is None or source.host not in (record.facts.mesh_ipv4, record.facts.mesh_ipv6):
            raise Rejected(Rejection.UNEXPECTED)
        self._members.heard_at[GOSSIP] = now
        self._check_own(body, now)
        if any([self._members.learn_record(known, GOSSIP, now, sender) for known in body.records]):
            self._rounds.learned(len(table.vouched), now)
        view = self._view()
        reaction = react(body, view, {key.raw[:PREFIX_BYTES]: key for key in view} if body.wanted else {})
        if body.summary and not reaction.buckets:
            self._rounds.agreed()
        if reaction.is_empty:
            return
        told = [found for key in reaction.records if (found := table.get(key)) is not None]
        datagrams = self._announcer.gossip(sender, now, buckets=reaction.buckets, wanted=reaction.wanted, records=told)
        for datagram in datagrams[:DATAGRAMS_MAX]:
            self._outbox.send(Transmit(datagram, source))

    def _note_news(self, key: PublicKey, now: float) -> None:
        self._rounds.note_news(key, len(self._members.table.vouched), now)

    def _view(self) -> View:
        """The members that we vouch for, ourselves among them, each at its revision."""
        view = self._members.table.vouched
        view.note(self._own.key, self._own.revision)
        return view

    def _check_own(self, body: Gossip, now: float) -> None:
        """Others that have a newer revision of us than we do have met us before our clock was set back."""
        prefix = self._own.key.raw[:PREFIX_BYTES]
        known = [entry.revision for bucket in body.buckets for entry in bucket.entries if entry.prefix == prefix]
        if known and max(known) > self._own.revision:
            self._own.revise(now, beyond=max(known))
            self._members.refreshes.hurry(now)

    def _is_reachable(self, record: PeerRecord, now: float) -> bool:
        return record.facts.native and record.is_proven(now) and self._rules.is_in_mesh(record.facts.mesh_ipv4)

    def _send(self, record: PeerRecord, datagrams: list[bytes]) -> None:
        to = Endpoint(record.facts.mesh_ipv4, self._members.exchange_port_of(record))
        for datagram in datagrams[:DATAGRAMS_MAX]:
            self._outbox.send(Transmit(datagram, to))
