"""The discovery core: bytes, the own description and `now` in; datagrams, events and the peer table out.

It only passes on. dispatch acts on messages, members knows who joins and leaves, exchange asks, the layers find.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager

from wgmesh.core.clock import WallClock
from wgmesh.core.keys.possession import Agreement
from wgmesh.core.model import Endpoint, IPAddress, LayerState, PeerProof, PeersSnapshot, PublicKey, SelfDescription
from wgmesh.core.peer_cache import CachedPeer
from wgmesh.core.sansio import Transmit
from wgmesh.discovery.assembly import Randomness, assemble
from wgmesh.discovery.bounds import Bounds
from wgmesh.discovery.dht import DhtEvent
from wgmesh.discovery.events import DatagramRejected, Event, PairKeysWanted
from wgmesh.discovery.exchange.stun_mapping import ExchangeMapping
from wgmesh.discovery.exchange.transactions import Purpose
from wgmesh.discovery.host_interfaces import LanInterface
from wgmesh.discovery.members.contacts import Origin
from wgmesh.discovery.members.record import NEVER
from wgmesh.discovery.members.table import PeerTable
from wgmesh.discovery.messages.inbox import Received, Rejected, Rejection
from wgmesh.discovery.messages.rate_limits import PROVEN_TRUST_S
from wgmesh.discovery.private_dht.layer import PrivateDhtLayer
from wgmesh.discovery.settings import DiscoverySettings

_REFUSED = {refusal: DatagramRejected(refusal) for refusal in Rejection}
# Two programs that both set the clock, each its own way, must not make us ask everybody every second.
JUMP_GAP_S = 5.0


class DiscoveryCore:
    """Finds the members of one mesh. A DatagramCore: "" is the exchange socket, "lan:NAME" an interface's multicast."""

    def __init__(
        self,
        settings: DiscoverySettings,
        randomness: Randomness,
        boot: bytes,
        bounds: Bounds | None = None,
        wall: WallClock | None = None,
    ) -> None:
        """`boot` are 8 random bytes that name this run of the process. `wall` is set by `set_clock` alone."""
        self._settings = settings
        self._bounds = bounds or Bounds()
        self._wall = wall or WallClock()
        parts = assemble(settings, randomness, boot, self._bounds, self._wall)
        self._keys = parts.keys
        self._own = parts.own
        self._inbox = parts.inbox
        self._pair_keys = parts.pair_keys
        self.unanswered = parts.unanswered
        self._rules = parts.rules
        self._members = parts.members
        self._contacts = parts.contacts
        self._hellos = parts.hellos
        self._goodbyes = parts.goodbyes
        self._expiry = parts.expiry
        self._mapping = parts.mapping
        self._layers = parts.layers
        self._dht = parts.dht
        self._dispatch = parts.dispatch
        self._diagnosis = parts.diagnosis
        self._announcer = parts.announcer
        self._health = parts.health
        self._outbox = parts.outbox
        self._has_left = False
        self._is_settled = True
        self._is_wake_known = False
        self._wake_at: float | None = None
        self._now = 0.0
        self._jumped_at = NEVER

    @property
    def gossip_port(self) -> int:
        """The exchange port that every member of the mesh expects."""
        return self._keys.gossip_port

    @property
    def lan_port(self) -> int:
        return self._keys.lan_port

    @property
    def multicast_groups(self) -> tuple[ipaddress.IPv4Address, ipaddress.IPv6Address]:
        return self._keys.multicast_group, self._keys.multicast_group6

    @property
    def table(self) -> PeerTable:
        """The table of peers, to look at: a snapshot of a thousand is too much for each look at one."""
        return self._members.table

    def occupancy(self) -> dict[str, tuple[int, int]]:
        """How full each memory is: its entries, and how many it may hold."""
        members, bounds = self._members, self._bounds
        return {
            "peers": (len(members.table), bounds.peers),
            "contacts": (len(self._contacts), bounds.contacts),
            "tombstones": (len(members.tombstones), bounds.tombstones),
            "senders": (len(members.clocks), bounds.senders),
            "nonces": (self._inbox.nonce_count, bounds.nonces),
            "pair keys": (len(self._pair_keys), bounds.pair_keys),
            "waiting messages": (self._pair_keys.waiting_count, bounds.waiting_messages),
            "hellos in flight": (len(self._hellos.transactions), bounds.hellos_in_flight),
            "unanswered hosts": (len(self.unanswered), bounds.hosts),
        }

    # What the shell tells

    def set_self(
        self, description: SelfDescription, proofs: Sequence[PeerProof], now: float, lost: Iterable[PublicKey] = ()
    ) -> None:
        """Sets what is announced, and what the data path proves. A new description is told to everybody.

        `lost` are all peers whose tunnels worked and do not answer any more: nobody is told of them.
        """
        if description != self._own.description:
            self._own.describe(description, now)
            self._members.set_own(description)
            self._members.refreshes.hurry(now)
            for layer in self._layers:
                layer.described(now)
            self._note_news(now)
        self._lose(frozenset(lost), now)
        self._prove(proofs, now)
        self._note_input(now)

    def set_interfaces(self, interfaces: Iterable[LanInterface], now: float, beyond: Container[IPAddress] = ()) -> None:
        """Sets the interfaces whose addresses are ours. Those are announced on where LAN discovery is on.

        `beyond` are the addresses that are reached through other interfaces, which do not carry the mesh.
        """
        known = tuple(interfaces)
        if beyond != self._rules.beyond:
            self._rules.beyond = beyond
            self._members.forget_beyond(now)
        if known == self._own.interfaces:
            return
        self._own.set_interfaces(known, now)
        self._mapping.ask_again(now)
        self._members.refreshes.hurry(now)
        for layer in self._layers:
            layer.moved(now)
        self._note_input(now)

    def set_clock(self, ahead_s: float, now: float) -> float:
        """Follows the host's clock, which is `ahead_s` ahead of steady time. Returns by how much it was set, mostly 0.

        What others have said by their clocks is seen beside the new one. Who has refused our words for their time may
        take them now, so all are asked again; and what we say gets a higher revision than all that the other clock
        has dated.
        """
        jump_s = self._wall.set(ahead_s)
        if not jump_s:
            return 0.0
        self._diagnosis.clock_set(jump_s)
        for layer in self._layers:
            layer.clock_set(now)
        self._own.revise(now)
        if now - self._jumped_at >= JUMP_GAP_S:
            self._jumped_at = now
            self._members.refreshes.hurry(now)
            self._contacts.hurry(now)
        self._note_news(now)
        return jump_s

    def set_exchange_port(self, port: int, now: float) -> None:
        """Sets the port that the exchange socket really has."""
        self._own.set_exchange_port(port, now)
        self._note_news(now)

    def set_layer(self, name: str, state: LayerState, detail: str, now: float) -> None:
        """Sets how a layer fares, as the shell sees it."""
        if self._health.set(name, state, detail):
            self._note_news(now)

    def set_storage_problem(self, problem: str, now: float) -> None:
        """Sets what keeps this node from keeping its files, as one sentence for the operator; empty if nothing does."""
        self._diagnosis.storage_problem = problem
        self._note_input(now)

    def set_stun_servers(self, endpoints: Sequence[Endpoint], now: float) -> None:
        """Sets whom to ask where the outside sees the exchange socket."""
        self._mapping.set_servers(endpoints, now)
        self._note_input(now)

    def are_silent(self, endpoints: Iterable[Endpoint]) -> bool:
        """Whether nobody answers at any of these addresses of the operator."""
        return self._contacts.are_silent(endpoints)

    def set_static(self, endpoints: Iterable[Endpoint], now: float) -> None:
        """Makes these exchange addresses all that the operator named."""
        self._contacts.set_static(endpoints, now)
        self._note_input(now)

    def restore_cache(self, entries: Iterable[CachedPeer], now: float) -> None:
        """Takes the peers of an earlier run, to be asked one after the other."""
        for cached in entries:
            self._members.restore(cached, now)
        self._note_input(now)

    def is_clock_confirmed(self, now: float) -> bool:
        """Whether the clocks of others bear ours out: then it may say what is too old to keep."""
        return self._diagnosis.is_clock_confirmed(now)

    def cached_peers(self, now: float) -> list[CachedPeer]:
        """What the next run should know."""
        return self._members.cached_peers(now)

    def set_pair_keys(self, agreements: Iterable[Agreement], now: float) -> None:
        """Takes what the keys of peers gave in agreement with ours, and acts on the messages that waited for it."""
        settled = []
        for agreement in agreements:
            self._pair_keys.settle(agreement.public_key, agreement.pair_key)
            settled.append(agreement.public_key)
        self._act_on(self._pair_keys.release(settled), now)
        self._note_input(now)

    def handle_dht(self, event: DhtEvent, now: float) -> None:
        """Takes what the DHT reports, the public one or our own."""
        if self._dht is not None and not self._has_left:
            self._dht.handle(event, now)
            self._note_input(now)

    def judge_record(self, name: bytes, old: bytes | None, new: bytes, now: float) -> bool:
        """Whether our node of the private DHT may keep a value, in the place of another."""
        return isinstance(self._dht, PrivateDhtLayer) and self._dht.judge(name, old, new, now)

    def set_traceparent(self, key: PublicKey, traceparent: str) -> None:
        """Gives a peer the trace that follows its joining."""
        self._members.table.set_traceparent(key, traceparent)

    def probe_address(self, endpoint: Endpoint, timeout_s: float, now: float) -> bool:
        """Asks one address. A ProbeAnswered or ProbeFailed for it follows, unless this returns False."""
        if self._own.description is None or self._has_left:
            return False
        self._note_input(now)
        return self._hellos.ask(endpoint, Purpose.PROBE, now, patience_s=timeout_s)

    def set_banned(self, keys: AbstractSet[PublicKey], now: float) -> None:
        """Makes these keys all that are banned. What is banned leaves, and nothing of it or about it is taken."""
        if self._members.set_banned(keys, now):
            self._note_news(now)

    def goodbye(self, now: float) -> None:
        """Tells every peer that we leave, unless our tunnels stay, and falls silent."""
        if self._own.description is None or self._has_left:
            return
        self._has_left = True
        self._is_wake_known = False
        if self._settings.keep_interface:
            return
        for layer in self._layers:
            layer.leave(now)
        self._goodbyes.say(now)

    # The contract of DatagramCore

    def handle_datagram(self, data: bytes, source: Endpoint, now: float, channel: str = "") -> None:
        if self._has_left:
            return
        if not channel and ExchangeMapping.is_stun(data):
            self._mapping.handle_datagram(data, source, now)
        elif self._own.description is not None:
            refusal = self._inbox.glance(data, source.host, now)
            if refusal is not None:
                self._now = now
                self._outbox.report(_REFUSED[refusal])
                return  # nothing has changed, so nothing has to be settled
            with self._reporting():
                self._dispatch.take(data, source, now, channel)
        self._note_input(now)

    def handle_timeout(self, now: float) -> None:
        if self._has_left:
            return
        self._act_on(self._pair_keys.overdue(now), now)
        self._mapping.handle_timeout(now)
        self._hellos.handle_timeout(now)
        self._expiry.handle_timeout(now)
        self._note_input(now)

    def poll_transmit(self) -> Transmit | None:
        """The only door: what goes outside the tunnel is paid for by the host that it goes to, whatever it is."""
        self._settle()
        while (transmit := self._outbox.poll_transmit()) is not None:
            host = transmit.to.host
            is_outside = not transmit.channel and not self._rules.is_in_mesh(host)
            if not is_outside or self.unanswered.admits(host, len(transmit.data), self._now):
                return transmit
        return None

    def poll_event(self) -> Event | None:
        self._settle()
        return self._outbox.poll_event()

    def poll_timeout(self) -> float | None:
        self._settle()
        if not self._is_wake_known:
            self._wake_at = min((at for at, _ in self.wakeups()), default=None)
            self._is_wake_known = True
        return self._wake_at

    def wakeups(self) -> Iterator[tuple[float, str]]:
        """When something is due next, and what: for logs and tests that ask why the core wakes up."""
        if self._has_left:
            return
        sources: list[tuple[str, float | None]] = [
            ("hellos", self._hellos.transactions.poll_timeout()),
            ("introductions", self._hellos.introductions.next_at()),
            ("expiry", self._expiry.poll_timeout()),
            ("publication", self._outbox.poll_timeout()),
            ("pair keys", self._pair_keys.poll_timeout()),
            ("stun", self._mapping.poll_timeout()),
        ]
        if self._own.description is not None:
            sources += [
                ("contacts", self._contacts.poll_timeout()),
                ("health", self._health.poll_timeout()),
                ("refreshes", self._members.refreshes.poll_timeout()),
                *((layer.name, layer.poll_timeout()) for layer in self._layers),
            ]
        yield from ((at, reason) for reason, at in sources if at is not None)

    def snapshot(self) -> PeersSnapshot:
        """All that is known, as of the last input."""
        return PeersSnapshot(
            revision=self._outbox.revision,
            peers=self._members.table.peers(self._now),
            layers=self._health.rows(),
            description=self._own.description,
            exchange_port=self._own.exchange_port,
            observed_endpoints=self._own.observed_endpoints(self._now),
            banned=tuple(sorted(self._members.banned)),
            notices=self._diagnosis.notices,
        )

    @property
    def sealed_count(self) -> int:
        """How many messages were sealed with the mesh's key."""
        return self._announcer.sealed_count

    def _prove(self, proofs: Sequence[PeerProof], now: float) -> None:
        table = self._members.table
        known = [(proof, record) for proof in proofs if (record := table.get(proof.public_key)) is not None]
        begun = [record for _, record in known if not record.proven_at]
        self._members.prove(proofs, now)
        for proof, record in known:
            self._members.refreshes.ensure(proof.public_key, now)
            self._inbox.trust(record.facts.mesh_ipv4, now + PROVEN_TRUST_S)
            self._inbox.trust(proof.endpoint.host, now + PROVEN_TRUST_S)
            self.unanswered.answered(proof.endpoint.host, now)
        if begun:
            for layer in self._layers:
                layer.proven(begun, now)

    def _lose(self, lost: frozenset[PublicKey], now: float) -> None:
        """Asks a peer that its tunnel does not reach any more everywhere it may be: it may have moved."""
        for record in self._members.lose(lost, now):
            port = self._members.exchange_port_of(record)
            hosts = dict.fromkeys(each.endpoint.host for each in record.candidates.best_first(now))
            for host in hosts:
                self._contacts.add(Endpoint(host, port), Origin.SECOND_HAND, now, record.key, eager=True)
            if record.control_endpoint is not None:
                self._contacts.add(record.control_endpoint, Origin.SECOND_HAND, now, record.key, eager=True)

    def _act_on(self, released: Iterable[Received], now: float) -> None:
        for received in released:
            with self._reporting():
                self._dispatch.act(received, now)

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Reports a message that is refused meanwhile."""
        try:
            yield
        except Rejected as rejected:
            self._outbox.report(_REFUSED[rejected.reason])

    def _note_input(self, now: float) -> None:
        """Notes that something came in: what follows from it is said with the next poll, once for several inputs."""
        self._now = now
        self._is_settled = self._is_wake_known = False

    def _note_news(self, now: float) -> None:
        """Notes that something besides the table is worth publishing."""
        self._outbox.publish()
        self._note_input(now)

    def _settle(self) -> None:
        """Ends what came in since the last poll: says what is due, and publishes what has changed."""
        if self._is_settled or self._has_left:
            return
        self._is_settled = True
        now = self._now
        if self._own.set_mappings(self._mapping.mappings(now), now):
            self._outbox.publish()
        while (transmit := self._mapping.poll_transmit()) is not None:
            self.unanswered.grant(transmit.to.host, len(transmit.data))  # the operator's STUN servers
            self._outbox.send(transmit)
        if self._own.description is not None:
            self._hellos.ask_contacts(now)
            self._hellos.refresh_peers(now)
            for layer in self._layers:
                layer.handle_timeout(now)
        wanted = self._pair_keys.take_wanted(now)
        if wanted:
            self._outbox.report(PairKeysWanted(wanted))
        self._expiry.settle(now)
        self._diagnosis.settle(now)
        self._health.settle(now)
        self._outbox.settle(now)
