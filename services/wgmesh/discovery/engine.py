"""The discovery core: bytes, the own description and `now` in; datagrams, events and the peer table out.

It only passes on. inbox opens, reception acts on messages, roster knows who joins and leaves, greetings asks.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from wgmesh.core.model import (
    Endpoint,
    LayerState,
    PeerProof,
    PeersSnapshot,
    PublicKey,
    SelfDescription,
)
from wgmesh.core.peer_cache import CachedPeer
from wgmesh.core.possession import Agreement
from wgmesh.core.sansio import Transmit
from wgmesh.discovery.assembly import Randomness, assemble
from wgmesh.discovery.candidates import HEARD_FRESH_S
from wgmesh.discovery.events import DatagramRejected, Event, PairKeysWanted
from wgmesh.discovery.exchange import Purpose
from wgmesh.discovery.gate import PROVEN_TRUST_S
from wgmesh.discovery.inbox import Rejected, Rejection
from wgmesh.discovery.lan import LanInterface
from wgmesh.discovery.leaving import say_goodbye
from wgmesh.discovery.mainline import MainlineEvent
from wgmesh.discovery.mapping import ExchangeMapping
from wgmesh.discovery.pair_keys import Waiting
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.discovery.tombstones import Departure


class DiscoveryCore:
    """Finds the members of one mesh. A DatagramCore: "" is the exchange socket, "lan:NAME" an interface's multicast."""

    def __init__(self, settings: DiscoverySettings, randomness: Randomness, boot: bytes) -> None:
        """`boot` are 8 random bytes that name this run of the process."""
        parts = assemble(settings, randomness, boot)
        self._settings = settings
        self._keys = parts.keys
        self._state = parts.state
        self._roster = parts.roster
        self._greetings = parts.greetings
        self._comparing = parts.comparing
        self._meeting = parts.meeting
        self._reception = parts.reception
        self._mapping = parts.mapping
        self._finding = parts.finding
        self._directory = parts.directory
        self._layers = parts.layers
        self._upstream_gossip = parts.upstream_gossip
        self._departures = parts.departures
        self._notices = parts.notices
        self._interfaces: tuple[LanInterface, ...] = ()
        self._has_left = False
        self._now = 0.0

    @property
    def gossip_port(self) -> int:
        """The exchange port that every member of the mesh expects."""
        return self._keys.gossip_port

    @property
    def lan_port(self) -> int:
        return self._keys.lan_port

    @property
    def multicast_group(self) -> ipaddress.IPv4Address:
        return self._keys.multicast_group

    # What the shell tells

    def set_self(self, description: SelfDescription, proofs: Sequence[PeerProof], now: float) -> None:
        """Sets what is announced, and what the data path proves. A new description is told to everybody."""
        state = self._state
        if description != state.announcer.description:
            state.announcer.description = description
            state.announcer.revise(now)
            state.started_at = min(state.started_at, now)
            self._meeting.set_own(description.public_key, description.introducer)
            state.table.set_own_key(description.public_key)
            state.lan.restart(now)
            state.refreshes.hurry(now)
            self._publish(now)
        fresh = [record for proof in proofs if (record := state.table.get(proof.public_key)) and not record.proven_at]
        state.outbox.note(state.table.prove(proofs, now), now)
        for proof in proofs:
            record = state.table.get(proof.public_key)
            if record is not None:
                state.refreshes.ensure(proof.public_key, now)
                state.gate.trust(record.facts.mesh_ipv4, now + PROVEN_TRUST_S)
                state.gate.trust(proof.endpoint.host, now + PROVEN_TRUST_S)
        for record in fresh:
            self._comparing.greet(record, now)
        if self._settings.gossip:
            self._upstream_gossip.begin(now)
        self._settle(now)

    def set_interfaces(self, interfaces: Iterable[LanInterface], now: float) -> None:
        """Sets the interfaces whose addresses are ours. Those are announced on where LAN discovery is on."""
        known = tuple(interfaces)
        if known == self._interfaces:
            return
        self._interfaces = known
        self._state.announcer.set_interfaces(known)
        self._mapping.ask_again(now)
        self._meeting.set_interfaces(known, now)
        self._state.announcer.revise(now)
        self._state.lan.set_interfaces(known if self._settings.lan else (), now)
        self._state.refreshes.hurry(now)
        self._settle(now)

    def set_exchange_port(self, port: int, now: float) -> None:
        """Sets the port that the exchange socket really has."""
        self._state.exchange_port = port
        self._state.announcer.exchange_port = None if port == self.gossip_port else port
        self._state.announcer.revise(now)
        self._publish(now)

    def set_layer(self, name: str, state: LayerState, detail: str, now: float) -> None:
        """Sets how a layer fares, as the shell sees it."""
        if self._layers.set(name, state, detail):
            self._publish(now)

    def set_stun_servers(self, endpoints: Sequence[Endpoint], now: float) -> None:
        """Sets whom to ask where the outside sees the exchange socket."""
        self._mapping.set_servers(endpoints, now)
        self._settle(now)

    def set_static(self, endpoints: Iterable[Endpoint], now: float) -> None:
        """Makes these exchange addresses all that the operator named."""
        self._state.contacts.set_static(endpoints, now)
        self._settle(now)

    def restore_cache(self, entries: Iterable[CachedPeer], now: float) -> None:
        """Takes the peers of an earlier run, to be asked one after the other."""
        for cached in entries:
            self._roster.restore(cached, now)
        self._settle(now)

    def cached_peers(self, now: float) -> list[CachedPeer]:
        """What the next run should know."""
        return self._roster.cached_peers(now)

    def set_pair_keys(self, agreements: Iterable[Agreement], now: float) -> None:
        """Takes what the keys of peers gave in agreement with ours, and acts on the messages that waited for it."""
        settled = []
        for agreement in agreements:
            self._state.pair_keys.settle(agreement.public_key, agreement.pair_key)
            settled.append(agreement.public_key)
        self._act_on(self._state.pair_keys.release(settled), now)
        self._settle(now)

    def handle_mainline(self, event: MainlineEvent, now: float) -> None:
        """Takes what the session of the Mainline DHT reports."""
        if self._finding is not None and not self._has_left:
            self._finding.handle(event, now)
            self._settle(now)

    def note_private_nodes(self, count: int, port: int, now: float) -> None:
        """Takes how many nodes of the private DHT are known, and where ours listens."""
        if self._directory is not None and not self._has_left:
            self._directory.note_nodes(count, port, now)
            self._settle(now)

    def take_private(self, name: bytes, values: Sequence[bytes], now: float) -> None:
        """Takes what was read under a name of the private DHT."""
        if self._directory is not None and not self._has_left:
            self._directory.take(name, values, now)
            self._settle(now)

    def judge_private(self, name: bytes, old: bytes | None, new: bytes, now: float) -> bool:
        """Whether our node of the private DHT may keep a value, in the place of another."""
        return self._directory is not None and self._directory.judge(name, old, new, now)

    def set_traceparent(self, key: PublicKey, traceparent: str) -> None:
        """Gives a peer the trace that follows its joining."""
        self._state.table.set_traceparent(key, traceparent)

    def probe_address(self, endpoint: Endpoint, timeout_s: float, now: float) -> bool:
        """Asks one address. A ProbeAnswered or ProbeFailed for it follows, unless this returns False."""
        if self._state.announcer.description is None or self._has_left:
            return False
        return self._greetings.ask(endpoint, Purpose.PROBE, now, patience_s=timeout_s)

    def forget(self, key: PublicKey, now: float) -> bool:
        """Removes a peer until it speaks for itself again. False if it is not known."""
        is_known = self._roster.depart(key, Departure.FORGOTTEN, now)
        self._settle(now)
        return is_known

    def ban(self, key: PublicKey, now: float) -> None:
        """Removes a peer as if it had left, and takes nothing of it or about it any more."""
        self.set_banned(self._state.banned | {key}, now)

    def unban(self, key: PublicKey, now: float) -> None:
        """Takes a ban back: the peer counts again as soon as it or somebody else speaks of it."""
        self.set_banned(self._state.banned - {key}, now)

    def set_banned(self, keys: AbstractSet[PublicKey], now: float) -> None:
        """Makes these keys all that are banned."""
        if self._roster.set_banned(keys, now):
            self._publish(now)

    def goodbye(self, now: float) -> None:
        """Tells every peer that we leave, unless our tunnels stay, and falls silent."""
        state = self._state
        if state.announcer.description is None or self._has_left:
            return
        if self._settings.keep_interface:
            self._has_left = True
            return
        say_goodbye(state, self._greetings, self._group(), now)
        self._has_left = True

    # The contract of DatagramCore

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        if self._has_left:
            return
        self._now = now
        if not channel and ExchangeMapping.is_stun(data):
            self._mapping.handle_datagram(data, source, now)
            self._settle(now)
            return
        try:
            self._reception.handle(data, source, now, channel)
        except Rejected as rejected:
            is_echo = bool(channel) and rejected.reason is Rejection.OWN  # multicast comes back to its sender
            if not is_echo:
                self._state.outbox.report(DatagramRejected(rejected.reason))
        self._settle(now)

    def _act_on(self, waiting: Iterable[Waiting], now: float) -> None:
        for each in waiting:
            try:
                self._reception.act(each.message, each.data, each.source, now, each.channel)
            except Rejected as rejected:
                self._state.outbox.report(DatagramRejected(rejected.reason))

    def handle_timeout(self, now: float) -> None:
        if self._has_left:
            return
        self._now = now
        self._act_on(self._state.pair_keys.overdue(now), now)
        self._mapping.handle_timeout(now)
        self._greetings.handle_timeout(now)
        self._departures.handle_timeout(now)
        self._settle(now)

    def poll_transmit(self) -> Transmit | None:
        return self._state.outbox.poll_transmit()

    def poll_event(self) -> Event | None:
        return self._state.outbox.poll_event()

    def poll_timeout(self) -> float | None:
        state = self._state
        if self._has_left:
            return None
        due = [
            state.exchange.poll_timeout(),
            self._departures.poll_timeout(),
            state.outbox.poll_timeout(),
            state.pair_keys.poll_timeout(),
            self._mapping.poll_timeout(),
        ]
        if state.announcer.description is not None:
            due += [
                state.lan.poll_timeout(),
                state.contacts.poll_timeout(),
                state.refreshes.poll_timeout(),
                state.gossip.poll_timeout(),
                self._meeting.poll_timeout(),
                self._upstream_gossip.poll_timeout(),
                None if self._finding is None else self._finding.poll_timeout(),
                None if self._directory is None else self._directory.poll_timeout(),
            ]
        return min((at for at in due if at is not None), default=None)

    def snapshot(self) -> PeersSnapshot:
        """All that is known, as of the last input."""
        state = self._state
        witnesses = [each for each in state.witnesses.values() if self._now - each.seen_at < HEARD_FRESH_S]
        return PeersSnapshot(
            revision=state.outbox.revision,
            peers=state.table.peers(self._now),
            layers=self._layers.all(),
            description=state.announcer.description,
            exchange_port=state.exchange_port,
            observed_endpoints=tuple(seen for seen, _ in Counter(each.endpoint for each in witnesses).most_common()),
            banned=tuple(sorted(state.banned)),
            notices=self._notices.current,
        )

    def _group(self) -> Endpoint:
        return Endpoint(self._keys.multicast_group, self._keys.lan_port)

    def _greet(self, now: float) -> None:
        """Says what is due: on the LANs, to contacts, to known peers, to one peer by gossip."""
        state = self._state
        if state.announcer.description is None:
            return
        for interface in state.lan.due(now):
            announcement = state.announcer.announce_on(interface, now)
            state.outbox.send(Transmit(announcement, self._group(), interface.channel))
        self._greetings.ask_contacts(now)
        self._greetings.refresh_peers(now)
        self._comparing.handle_timeout(now)
        self._meeting.handle_timeout(now)
        if self._finding is not None:
            self._finding.handle_timeout(now)
        if self._directory is not None:
            self._directory.handle_timeout(now)
        self._upstream_gossip.handle_timeout(now)

    def _settle(self, now: float) -> None:
        """Ends one input: says what is due, and publishes what has changed."""
        self._now = now
        self._state.set_mapped(self._mapping.mapped(now), now)
        while (transmit := self._mapping.poll_transmit()) is not None:
            self._state.outbox.send(transmit)
        self._greet(now)
        wanted = self._state.pair_keys.take_wanted(now)
        if wanted:
            self._state.outbox.report(PairKeysWanted(wanted))
        self._departures.settle(now)
        self._notices.settle(now)
        self._state.outbox.settle(now)

    def _publish(self, now: float) -> None:
        self._state.outbox.publish()
        self._settle(now)
