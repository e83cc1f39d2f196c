"""Gossip between our own nodes, put to work: rounds become datagrams, answers become news of the roster."""

from __future__ import annotations

from wgmesh.core.gossip_message import PREFIX_BYTES, Gossip
from wgmesh.core.model import Endpoint
from wgmesh.core.sansio import Transmit
from wgmesh.discovery.gossip import DATAGRAMS_MAX, react
from wgmesh.discovery.gossip_view import bucket_count, summary_of
from wgmesh.discovery.inbox import Message, Rejected, Rejection
from wgmesh.discovery.peer_record import PeerRecord
from wgmesh.discovery.roster import Roster
from wgmesh.discovery.standing import Standing
from wgmesh.discovery.state import DiscoveryState

GOSSIP = "gossip"


class Comparing:
    """Compares our view of the mesh with that of others."""

    def __init__(self, state: DiscoveryState, roster: Roster) -> None:
        self._state = state
        self._roster = roster

    def handle_timeout(self, now: float) -> None:
        """Takes the round that is due."""
        state = self._state
        at = state.gossip.poll_timeout()
        if at is None or now < at or state.announcer.description is None:
            return
        reachable = [record.key for record in state.table.records() if self._is_reachable(record, now)]
        turn = state.gossip.due(now, reachable, state.view())
        if turn is None:
            return
        news = [record for key in turn.news if (record := state.table.get(key)) is not None]
        for key in turn.peers:
            record = state.table.get(key)
            if record is not None:
                told = [each for each in news if each.key != key]
                self._send(record, state.announcer.gossip(key, now, summary=turn.summary, records=told))

    def greet(self, record: PeerRecord, now: float) -> None:
        """Compares with a peer whose tunnel has just begun to work, if we are new ourselves."""
        state = self._state
        if self._is_reachable(record, now) and state.gossip.greet(now):
            view = state.view()
            summary = summary_of(view, bucket_count(len(view)))
            self._send(record, state.announcer.gossip(record.key, now, summary=summary))

    def take(self, message: Message, body: Gossip, standing: Standing, source: Endpoint, now: float) -> None:
        """Answers a message, and hands on what it tells. It counts only from inside the tunnel. Raises Rejected."""
        state = self._state
        record = state.table.get(message.sender)
        if standing is not Standing.PROVEN:
            raise Rejected(Rejection.UNPROVEN)
        if record is None or source.host not in (record.facts.mesh_ipv4, record.facts.mesh_ipv6):
            raise Rejected(Rejection.UNEXPECTED)
        state.heard_at[GOSSIP] = now
        self._check_own(body, now)
        if any([self._roster.learn_record(known, now) for known in body.records]):
            state.gossip.learned(len(state.table), now)
        view = state.view()
        reaction = react(body, view, {key.raw[:PREFIX_BYTES]: key for key in view} if body.wanted else {})
        if body.summary and not reaction.buckets:
            state.gossip.agreed()
        if reaction.is_empty:
            return
        told = [found for key in reaction.records if (found := state.table.get(key)) is not None]
        datagrams = state.announcer.gossip(
            message.sender, now, buckets=reaction.buckets, wanted=reaction.wanted, records=told
        )
        for datagram in datagrams[:DATAGRAMS_MAX]:
            state.outbox.send(Transmit(datagram, source))

    def _check_own(self, body: Gossip, now: float) -> None:
        """Others that have a newer revision of us than we do have met us before our clock was set back."""
        state = self._state
        own = state.announcer.description
        assert own is not None
        prefix = own.public_key.raw[:PREFIX_BYTES]
        known = [entry.revision for bucket in body.buckets for entry in bucket.entries if entry.prefix == prefix]
        if known and max(known) > state.announcer.revision:
            state.announcer.revise(now, beyond=max(known))
            state.refreshes.hurry(now)

    def _is_reachable(self, record: PeerRecord, now: float) -> bool:
        return record.facts.native and record.is_proven(now) and self._state.rules.is_in_mesh(record.facts.mesh_ipv4)

    def _send(self, record: PeerRecord, datagrams: list[bytes]) -> None:
        to = Endpoint(record.facts.mesh_ipv4, self._state.exchange_port_of(record))
        for datagram in datagrams[:DATAGRAMS_MAX]:
            self._state.outbox.send(Transmit(datagram, to))
