"""From what the other services know to what this node wants: one pure step, taken again at every change."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from copy import deepcopy
from dataclasses import dataclass, field, replace

from wgmesh.core.model import (
    CandidateSource,
    DesiredDevice,
    DesiredPeer,
    Endpoint,
    Identity,
    IPAddress,
    IPNetwork,
    NatReport,
    ObservedDevice,
    ObservedPeer,
    PathsSnapshot,
    Peer,
    PeerProof,
    PeersSnapshot,
    PublicKey,
    RefusedRoute,
    SelfDescription,
)
from wgmesh.core.model import Mapping as NatMapping
from wgmesh.core.network_index import NetworkIndex
from wgmesh.core.outside import seen_outside
from wgmesh.node.addresses import AddressBook, Contest, OwnAddresses
from wgmesh.node.firewalls import suspicion
from wgmesh.node.handshakes import Approach, HandshakeTable
from wgmesh.node.liveness import Liveness, TrafficMemory, Verdict, judge
from wgmesh.node.routes import Choice, RouteChooser, Surroundings
from wgmesh.node.settings import NodeSettings

IPV6_PREFIX_LENGTH = 64  # protocol notes, 3.3
HOSTS_REMEMBERED = 4096  # mesh addresses: two for each of a thousand peers, and as many that are gone
LOST = (Liveness.SUSPECT, Liveness.STALE)
SEEN_MAX = 4096  # departed keys are kept only to tell leaving from a restart; four times the peers that may exist


@dataclass(frozen=True, slots=True)
class World:
    """All that was observed, at one moment."""

    identity: Identity
    device: ObservedDevice | None = None
    peers: PeersSnapshot = field(default_factory=PeersSnapshot)
    paths: PathsSnapshot = field(default_factory=PathsSnapshot)


@dataclass(frozen=True, slots=True)
class Composition:
    """What this node wants, and what it concluded. `lost` are the peers whose tunnels worked and answer no more.

    `next_at` is when the world must be looked at again without any change. `unwanted` are the peers that the device has
    and is to lose, each with the reason.
    """

    addresses: OwnAddresses
    device: DesiredDevice
    proofs: tuple[PeerProof, ...]
    verdicts: Mapping[PublicKey, Verdict]
    contests: tuple[Contest, ...]
    foreign_subnet: frozenset[PublicKey]
    next_at: float | None
    refused_routes: tuple[RefusedRoute, ...] = ()
    unwanted: Mapping[PublicKey, str] = field(default_factory=dict)
    lost: frozenset[PublicKey] = frozenset()


class Composer:
    """Composes. Holds only what time teaches: handshake attempts and the growth of traffic."""

    def __init__(self, settings: NodeSettings, own_key: PublicKey) -> None:
        self._settings = settings
        self._mesh_ipv4, self._mesh_ipv6 = settings.mesh_ipv4_network, settings.keys.ipv6_network
        self._own_key = own_key
        self._addresses = AddressBook(settings)
        self._handshakes = HandshakeTable(own_key)
        self._traffic = TrafficMemory()
        self._routes = RouteChooser(settings.accept_routes)
        self._seen_in_this_life: set[PublicKey] = set()

    def preview(self, world: World, now: float) -> Composition:
        """What `compose` would return. It composes with a copy of the memories, so the next turn does not notice."""
        shared = (self._settings, self._own_key, self._addresses)  # composing changes nothing that these answer
        return deepcopy(self, {id(part): part for part in shared}).compose(world, now)

    def compose(self, world: World, now: float) -> Composition:
        """Composes the world at `now`."""
        excluded = {self._own_key, *world.peers.banned}
        peers = tuple(peer for peer in world.peers.peers if peer.public_key not in excluded)
        observed = {peer.public_key: peer for peer in world.device.peers} if world.device else {}
        self._traffic.observe(observed.values(), now)
        self._handshakes.keep(peer.public_key for peer in peers)
        self._remember(world.peers)
        own = self._addresses.own(world.identity, peers)
        contests = self._addresses.contests(self._own_key, own, peers)
        verdicts = {peer.public_key: self._judge(peer, observed, world, now) for peer in peers}
        retained, unwanted = self._unnamed_peers(peers, observed, excluded, now)
        opens = world.paths.report.enabled and world.paths.report.mapping is not NatMapping.NONE
        approaches = self._handshakes.approaches(peers, observed, now, _routed(world.device), opens=opens)
        desired = self._desired_peers(peers, approaches, contests) + tuple(peer for peer, _ in retained)
        advertised: dict[PublicKey, Iterable[IPNetwork]] = {peer.public_key: peer.routable_networks for peer in peers}
        advertised |= {peer.public_key: peer.routable_networks for peer, _ in retained}
        standings = verdicts | {peer.public_key: verdict for peer, verdict in retained}
        choice = self._routes.choose(advertised, standings, now, self._surroundings(peers, world.device))
        due = [at for at in (self._handshakes.next_at(), choice.next_at) if at is not None]
        return Composition(
            addresses=own,
            device=self._device(own, tuple(_with_routes(peer, choice) for peer in desired)),
            proofs=_proofs(verdicts, observed),
            lost=frozenset(key for key, verdict in verdicts.items() if verdict.liveness in LOST),
            verdicts=verdicts,
            contests=contests,
            foreign_subnet=frozenset(peer.public_key for peer in peers if peer.mesh_ipv4 not in self._mesh_ipv4),
            next_at=min(due, default=None),
            refused_routes=choice.refused,
            unwanted=unwanted,
        )

    def _remember(self, snapshot: PeersSnapshot) -> None:
        """Keeps whom discovery has named since it was told who we are; a restarted discovery has named nobody."""
        if snapshot.description is None:
            self._seen_in_this_life.clear()
        else:
            self._seen_in_this_life.update(peer.public_key for peer in snapshot.peers)
            if len(self._seen_in_this_life) > SEEN_MAX:
                self._seen_in_this_life = {peer.public_key for peer in snapshot.peers}

    def _unnamed_peers(
        self,
        peers: tuple[Peer, ...],
        observed: Mapping[PublicKey, ObservedPeer],
        excluded: AbstractSet[PublicKey],
        now: float,
    ) -> tuple[tuple[tuple[DesiredPeer, Verdict], ...], dict[PublicKey, str]]:
        """Of the peers that the device has and discovery does not name: those to keep, and why the others go.

        A working tunnel to a peer that a restarted discovery has not heard of yet is kept. A peer that discovery once
        named and then dropped has left; one that it never named is only not found again.
        """
        named = {peer.public_key for peer in peers}
        retained: list[tuple[DesiredPeer, Verdict]] = []
        unwanted: dict[PublicKey, str] = {}
        for key, peer in observed.items():
            if key in named:
                continue
            verdict = judge(peer, self._traffic.grew_at(key), now)
            if key == self._own_key:
                unwanted[key] = "It carries this node's own key, and a node is no peer of itself."
            elif key in excluded:
                unwanted[key] = "It is banned."
            elif key in self._seen_in_this_life:
                unwanted[key] = "Discovery names it no more: it has left, or it was not heard of for too long."
            elif verdict.liveness is not Liveness.CONNECTED:
                unwanted[key] = f"Discovery has never named it, and nothing proves its tunnel: {verdict.reason}."
            else:
                retained.append((self._as_it_is(peer), verdict))
        return tuple(retained), unwanted

    def _as_it_is(self, peer: ObservedPeer) -> DesiredPeer:
        mesh = frozenset(network for network in peer.allowed_ips if self._is_mesh_host(network))
        return DesiredPeer(
            public_key=peer.public_key,
            preshared_key=self._settings.keys.psk,
            allowed_ips=mesh,
            routable_networks=peer.allowed_ips - mesh,
            persistent_keepalive_s=peer.persistent_keepalive_s,
        )

    def _surroundings(self, peers: tuple[Peer, ...], device: ObservedDevice | None) -> Surroundings:
        """Where members have answered us from, and which networks the device has for whom."""
        answered = {(host, peer.public_key) for peer in peers for host in _answering_hosts(peer)}
        routed = device.routes if device is not None else frozenset()
        holders = device.peers if device is not None and routed else ()
        return Surroundings(tuple(answered), {peer.public_key: peer.allowed_ips & routed for peer in holders})

    def _is_mesh_host(self, network: IPNetwork) -> bool:
        address = network.network_address
        mesh = self._mesh_ipv4 if address.version == 4 else self._mesh_ipv6
        return network.prefixlen == address.max_prefixlen and address in mesh

    def _judge(self, peer: Peer, observed: Mapping[PublicKey, ObservedPeer], world: World, now: float) -> Verdict:
        verdict = judge(observed.get(peer.public_key), self._traffic.grew_at(peer.public_key), now)
        own_port = world.device.listen_port if world.device else self._settings.listen_port
        obstacle = suspicion(peer, verdict, world.peers.layers, own_port, now)
        return replace(verdict, reason=f"{verdict.reason}; {obstacle}") if obstacle else verdict

    def _device(self, own: OwnAddresses, peers: tuple[DesiredPeer, ...]) -> DesiredDevice:
        ipv4 = ipaddress.IPv4Interface((own.ipv4, self._mesh_ipv4.prefixlen))
        ipv6 = ipaddress.IPv6Interface((own.ipv6, IPV6_PREFIX_LENGTH))
        return DesiredDevice(
            addresses=(ipv4, ipv6),
            listen_port=self._settings.listen_port,
            mtu=self._settings.mtu,
            reserved_ports=self._settings.reserved_ports,
            peers=peers,
        )

    def _desired_peers(
        self,
        peers: tuple[Peer, ...],
        approaches: Mapping[PublicKey, Approach],
        contests: tuple[Contest, ...],
    ) -> tuple[DesiredPeer, ...]:
        lost = {(contest.address, key) for contest in contests for key in contest.losers}
        desired = []
        for peer in peers:
            approach = approaches[peer.public_key]
            addresses = (self._own_mesh_addresses(peer)) - {address for address, key in lost if key == peer.public_key}
            desired.append(
                DesiredPeer(
                    public_key=peer.public_key,
                    preshared_key=self._settings.keys.psk,
                    endpoint=approach.endpoint,
                    allowed_ips=frozenset(map(_host_network, addresses)),
                    persistent_keepalive_s=approach.keepalive_s,
                    only_if_connected=not approach.present,
                    dead_endpoint=approach.dead_endpoint,
                )
            )
        return tuple(desired)

    def _own_mesh_addresses(self, peer: Peer) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        """The claimed addresses that lie in the mesh; others would be routes in disguise."""
        addresses: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
        if peer.mesh_ipv4 in self._mesh_ipv4:
            addresses.add(peer.mesh_ipv4)
        if peer.mesh_ipv6 is not None and peer.mesh_ipv6 in self._mesh_ipv6:
            addresses.add(peer.mesh_ipv6)
        return addresses

    def describe(
        self, world: World, own: OwnAddresses, advertised: tuple[IPNetwork, ...], hostname: str = ""
    ) -> SelfDescription | None:
        """What to announce; None until the device exists, because nobody can be told a port that is not open.

        `hostname` is the host's name as it is now, empty for that of the settings.
        """
        if world.device is None:
            return None
        report = world.paths.report
        return SelfDescription(
            public_key=self._own_key,
            mesh_ipv4=own.ipv4,
            mesh_ipv6=own.ipv6,
            wireguard_port=world.device.listen_port,
            hostname=hostname or self._settings.hostname,
            routable_networks=advertised,
            introducer=self._settings.introducer,
            nat_type=report.mapping.upstream_word if report.answered_at is not None else "",
            external_endpoints=_outside(report),
            mapped_exchange=report.port_mapping.exchange_endpoint if report.port_mapping.is_confirmed else None,
        )


def _answering_hosts(peer: Peer) -> set[IPAddress]:
    """The addresses at which a member was reached, but for those on a LAN of this host.

    There the wireguard service refuses all routes, and gives the better reason.
    """
    reached = {each.endpoint.host for each in peer.candidates if each.proven_at}
    if peer.control_endpoint is not None:
        reached.add(peer.control_endpoint.host)
    return reached - {each.endpoint.host for each in peer.candidates if each.source is CandidateSource.LAN}


def _routed(device: ObservedDevice | None) -> NetworkIndex[None]:
    """The networks that the host sends into the device."""
    return NetworkIndex((network, None) for network in (device.routes if device else ()))


def _outside(report: NatReport) -> tuple[Endpoint, ...]:
    """Where peers may try: the outside endpoint, or all that were seen where the STUN servers are divided.

    What the router forwards comes first, if STUN agrees with its address. Of the other ports of that address only one
    that all servers see leads here.
    """
    seen = seen_outside(report)
    mapped = report.port_mapping.external_endpoint
    if mapped is None or not report.port_mapping.is_confirmed:
        return seen
    others = [each for each in seen if each == report.external_endpoint or each.host != mapped.host]
    return tuple(dict.fromkeys((mapped, *others)))


def _host_network(address: IPAddress) -> IPNetwork:
    """The network of one address. The standard library makes it by way of text, for each peer in each turn."""
    return ipaddress.ip_network(address)


def _with_routes(peer: DesiredPeer, choice: Choice) -> DesiredPeer:
    """The peer with the networks that it was given."""
    chosen = choice.routes.get(peer.public_key, frozenset())
    return peer if chosen == peer.routable_networks else replace(peer, routable_networks=chosen)


def _proofs(verdicts: Mapping[PublicKey, Verdict], observed: Mapping[PublicKey, ObservedPeer]) -> tuple[PeerProof, ...]:
    proofs = []
    for key, verdict in verdicts.items():
        peer = observed.get(key)
        if verdict.liveness is Liveness.CONNECTED and verdict.proven_at and peer and peer.endpoint:
            proofs.append(PeerProof(key, peer.endpoint, verdict.proven_at))
    return tuple(proofs)


def path_word(peer: Peer, observed: ObservedPeer | None, verdict: Verdict) -> str:
    """The path in use, in words: direct-lan, direct or none."""
    if verdict.liveness is not Liveness.CONNECTED or observed is None or observed.endpoint is None:
        return "none"
    on_lan = any(
        candidate.endpoint.host == observed.endpoint.host and candidate.source is CandidateSource.LAN
        for candidate in peer.candidates
    )
    return "direct-lan" if on_lan else "direct"
