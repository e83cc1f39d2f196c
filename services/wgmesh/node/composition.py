"""From what the other services know to what this node wants: one pure step, taken again at every change."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from wgmesh.core.model import (
    CandidateSource,
    DesiredDevice,
    DesiredPeer,
    Identity,
    IPNetwork,
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
from wgmesh.node.addresses import AddressBook, Contest, OwnAddresses
from wgmesh.node.handshakes import HandshakeTable
from wgmesh.node.liveness import Liveness, TrafficMemory, Verdict, judge
from wgmesh.node.routes import Choice, RouteChooser
from wgmesh.node.settings import NodeSettings

IPV6_PREFIX_LENGTH = 64  # protocol notes, 3.3
_SEEN_MAX = 4096  # departed keys are kept only to tell leaving from a restart; four times the peers that may exist


@dataclass(frozen=True, slots=True)
class World:
    """All that was observed, at one moment."""

    identity: Identity
    device: ObservedDevice | None = None
    peers: PeersSnapshot = field(default_factory=PeersSnapshot)
    paths: PathsSnapshot = field(default_factory=PathsSnapshot)


@dataclass(frozen=True, slots=True)
class Composition:
    """What this node wants, and what it concluded.

    `next_at` is when the world must be looked at again without any change.
    """

    addresses: OwnAddresses
    device: DesiredDevice
    proofs: tuple[PeerProof, ...]
    verdicts: Mapping[PublicKey, Verdict]
    contests: tuple[Contest, ...]
    foreign_subnet: frozenset[PublicKey]
    next_at: float | None
    refused_routes: tuple[RefusedRoute, ...] = ()


class Composer:
    """Composes. Holds only what time teaches: handshake attempts and the growth of traffic."""

    def __init__(self, settings: NodeSettings, own_key: PublicKey) -> None:
        self._settings = settings
        self._own_key = own_key
        self._addresses = AddressBook(settings)
        self._handshakes = HandshakeTable(own_key)
        self._traffic = TrafficMemory()
        self._routes = RouteChooser(settings.accept_routes)
        self._seen_in_this_life: set[PublicKey] = set()

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
        verdicts = {peer.public_key: self._judge(peer, observed, now) for peer in peers}
        retained = self._retained_peers(peers, observed, excluded, now)
        desired = self._desired_peers(peers, observed, contests, now) + tuple(peer for peer, _ in retained)
        advertised: dict[PublicKey, Iterable[IPNetwork]] = {peer.public_key: peer.routable_networks for peer in peers}
        advertised |= {peer.public_key: peer.routable_networks for peer, _ in retained}
        standings = verdicts | {peer.public_key: verdict for peer, verdict in retained}
        choice = self._routes.choose(advertised, standings, now)
        due = [at for at in (self._handshakes.next_at(), choice.next_at) if at is not None]
        return Composition(
            addresses=own,
            device=self._device(own, tuple(_with_routes(peer, choice) for peer in desired)),
            proofs=_proofs(verdicts, observed),
            verdicts=verdicts,
            contests=contests,
            foreign_subnet=frozenset(
                peer.public_key for peer in peers if peer.mesh_ipv4 not in self._settings.mesh_ipv4_network
            ),
            next_at=min(due, default=None),
            refused_routes=choice.refused,
        )

    def _remember(self, snapshot: PeersSnapshot) -> None:
        """Keeps whom discovery has named since it was told who we are; a restarted discovery has named nobody."""
        if snapshot.description is None:
            self._seen_in_this_life.clear()
        else:
            self._seen_in_this_life.update(peer.public_key for peer in snapshot.peers)
            if len(self._seen_in_this_life) > _SEEN_MAX:
                self._seen_in_this_life = {peer.public_key for peer in snapshot.peers}

    def _retained_peers(
        self,
        peers: tuple[Peer, ...],
        observed: Mapping[PublicKey, ObservedPeer],
        excluded: AbstractSet[PublicKey],
        now: float,
    ) -> tuple[tuple[DesiredPeer, Verdict], ...]:
        """Working tunnels to peers that a restarted discovery has not heard of yet.

        A peer that discovery once named and then dropped has left; one that it never named is only not found again.
        """
        known = {peer.public_key for peer in peers} | self._seen_in_this_life | excluded
        retained = []
        for key, peer in observed.items():
            if key in known:
                continue
            verdict = judge(peer, self._traffic.grew_at(key), now)
            if verdict.liveness is Liveness.CONNECTED:
                mesh = frozenset(network for network in peer.allowed_ips if self._is_mesh_host(network))
                desired = DesiredPeer(
                    public_key=key,
                    preshared_key=self._settings.keys.psk,
                    allowed_ips=mesh,
                    routable_networks=peer.allowed_ips - mesh,
                    persistent_keepalive_s=peer.persistent_keepalive_s,
                )
                retained.append((desired, verdict))
        return tuple(retained)

    def _is_mesh_host(self, network: IPNetwork) -> bool:
        address = network.network_address
        mesh = self._settings.mesh_ipv4_network if address.version == 4 else self._settings.keys.ipv6_network
        return network.prefixlen == address.max_prefixlen and address in mesh

    def _judge(self, peer: Peer, observed: Mapping[PublicKey, ObservedPeer], now: float) -> Verdict:
        return judge(observed.get(peer.public_key), self._traffic.grew_at(peer.public_key), now)

    def _device(self, own: OwnAddresses, peers: tuple[DesiredPeer, ...]) -> DesiredDevice:
        ipv4 = ipaddress.IPv4Interface((own.ipv4, self._settings.mesh_ipv4_network.prefixlen))
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
        observed: Mapping[PublicKey, ObservedPeer],
        contests: tuple[Contest, ...],
        now: float,
    ) -> tuple[DesiredPeer, ...]:
        lost = {(contest.address, key) for contest in contests for key in contest.losers}
        desired = []
        for peer in peers:
            approach = self._handshakes.approach(peer, observed.get(peer.public_key), now)
            addresses = (self._own_mesh_addresses(peer)) - {address for address, key in lost if key == peer.public_key}
            desired.append(
                DesiredPeer(
                    public_key=peer.public_key,
                    preshared_key=self._settings.keys.psk,
                    endpoint=approach.endpoint,
                    allowed_ips=frozenset(ipaddress.ip_network(address) for address in addresses),
                    routable_networks=frozenset(peer.routable_networks),
                    persistent_keepalive_s=approach.keepalive_s,
                    only_if_connected=not approach.present,
                )
            )
        return tuple(desired)

    def _own_mesh_addresses(self, peer: Peer) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        """The claimed addresses that lie in the mesh; others would be routes in disguise."""
        addresses: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
        if peer.mesh_ipv4 in self._settings.mesh_ipv4_network:
            addresses.add(peer.mesh_ipv4)
        if peer.mesh_ipv6 is not None and peer.mesh_ipv6 in self._settings.keys.ipv6_network:
            addresses.add(peer.mesh_ipv6)
        return addresses

    def describe(self, world: World, own: OwnAddresses, advertised: tuple[IPNetwork, ...]) -> SelfDescription | None:
        """What to announce; None until the device exists, because nobody can be told a port that is not open."""
        if world.device is None:
            return None
        report = world.paths.report
        return SelfDescription(
            public_key=self._own_key,
            mesh_ipv4=own.ipv4,
            mesh_ipv6=own.ipv6,
            wireguard_port=world.device.listen_port,
            hostname=self._settings.hostname,
            routable_networks=advertised,
            introducer=self._settings.introducer,
            nat_type=report.mapping.upstream_word if report.answered_at is not None else "",
            external_endpoints=(report.external_endpoint,) if report.external_endpoint else (),
        )


def _with_routes(peer: DesiredPeer, choice: Choice) -> DesiredPeer:
    """The peer with the networks that it was given. It comes with all that it advertises."""
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
