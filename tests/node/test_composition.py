"""From snapshots to one desired device."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from wgmesh.core.addressing import derive_ipv4, derive_ipv6
from wgmesh.core.keyschedule import derive
from wgmesh.core.model import (
    Candidate,
    CandidateSource,
    DesiredPeer,
    Endpoint,
    Identity,
    IPNetwork,
    NatReport,
    ObservedDevice,
    ObservedPeer,
    PathsSnapshot,
    Peer,
    PeersSnapshot,
    PublicKey,
    SelfDescription,
)
from wgmesh.core.secret import Secret
from wgmesh.node.composition import Composer, Composition, World, path_word
from wgmesh.node.liveness import Liveness
from wgmesh.node.settings import NodeSettings

SECRET = Secret.parse("wgmesh-composition-test-secret")
KEYS = derive(SECRET)
OWN, OTHER, THIRD = sorted(PublicKey(bytes([number] * 32)) for number in (1, 120, 250))
ENDPOINT = Endpoint.parse("192.0.2.7:51820")
NOW = 1_000_000.0


def test_the_device_has_the_own_addresses_and_every_peer_with_the_preshared_key() -> None:
    composition = compose(World(Identity(OWN), device(), peers(peer(OTHER))))

    assert [str(address) for address in composition.device.addresses] == [
        f"{derive_ipv4(OWN, SECRET, KEYS)}/16",
        f"{derive_ipv6(OWN, SECRET, KEYS)}/64",
    ]
    (desired,) = composition.device.peers
    assert desired.preshared_key == KEYS.psk
    assert desired.endpoint == ENDPOINT
    assert desired.allowed_ips == hosts(peer(OTHER))


def test_the_own_key_in_the_peer_table_is_no_peer() -> None:
    composition = compose(World(Identity(OWN), device(), peers(peer(OWN))))

    assert composition.device.peers == ()
    assert composition.verdicts == {}


def test_an_address_outside_the_mesh_is_not_routed_and_the_peer_is_named() -> None:
    stranger = Peer(OTHER, ipaddress.IPv4Address("8.8.8.8"), ipaddress.IPv6Address("2001:db8::1"))

    composition = compose(World(Identity(OWN), device(), peers(stranger)))

    assert composition.device.peers[0].allowed_ips == frozenset()
    assert composition.foreign_subnet == {OTHER}


def test_a_contested_address_is_routed_to_its_winner_only() -> None:
    victim, thief = peer(THIRD), Peer(OTHER, derive_ipv4(THIRD, SECRET, KEYS), native=True)

    composition = compose(World(Identity(OWN), device(), peers(victim, thief)))

    assert desired_of(composition, THIRD).allowed_ips == hosts(victim)
    assert desired_of(composition, OTHER).allowed_ips == frozenset()


def test_advertised_networks_are_left_to_the_admission_of_the_wireguard_service() -> None:
    network = ipaddress.ip_network("192.168.77.0/24")

    composition = compose(World(Identity(OWN), device(), peers(peer(OTHER, networks=(network,)))))

    assert desired_of(composition, OTHER).routable_networks == {network}


def test_a_fresh_handshake_is_told_to_discovery_as_proof() -> None:
    connected = device(ObservedPeer(OTHER, ENDPOINT, handshake_at=NOW - 5))

    composition = compose(World(Identity(OWN), connected, peers(peer(OTHER))))

    assert composition.verdicts[OTHER].liveness is Liveness.CONNECTED
    assert [(proof.public_key, proof.endpoint, proof.proven_at) for proof in composition.proofs] == [
        (OTHER, ENDPOINT, NOW - 5)
    ]


def test_a_stale_handshake_is_no_proof() -> None:
    stale = device(ObservedPeer(OTHER, ENDPOINT, handshake_at=NOW - 500))

    assert compose(World(Identity(OWN), stale, peers(peer(OTHER)))).proofs == ()


def test_a_restarted_discovery_that_knows_nobody_removes_no_working_tunnel() -> None:
    composer = Composer(settings(), OWN)
    tunnel = ObservedPeer(OTHER, ENDPOINT, hosts(peer(OTHER)), 25, handshake_at=NOW - 5)
    composer.compose(World(Identity(OWN), device(tunnel), peers(peer(OTHER))), NOW)

    restarted = composer.compose(World(Identity(OWN), device(tunnel), PeersSnapshot()), NOW + 1)

    assert desired_of(restarted, OTHER).allowed_ips == hosts(peer(OTHER))


def test_a_tunnel_that_an_earlier_life_left_behind_is_kept_while_it_works() -> None:
    network = ipaddress.ip_network("192.168.77.0/24")
    tunnel = ObservedPeer(OTHER, ENDPOINT, hosts(peer(OTHER)) | {network}, 25, handshake_at=NOW - 5)

    composition = compose(World(Identity(OWN), device(tunnel), peers()))

    kept = desired_of(composition, OTHER)
    assert kept.allowed_ips == hosts(peer(OTHER))
    assert kept.routable_networks == {network}


def test_a_tunnel_that_an_earlier_life_left_behind_dead_is_removed() -> None:
    tunnel = ObservedPeer(OTHER, ENDPOINT, hosts(peer(OTHER)), 25, handshake_at=NOW - 500)

    assert compose(World(Identity(OWN), device(tunnel), peers())).device.peers == ()


def test_a_peer_that_discovery_dropped_is_removed_although_its_tunnel_was_fresh() -> None:
    composer = Composer(settings(), OWN)
    tunnel = ObservedPeer(OTHER, ENDPOINT, hosts(peer(OTHER)), 25, handshake_at=NOW - 5)
    composer.compose(World(Identity(OWN), device(tunnel), peers(peer(OTHER))), NOW)

    after_goodbye = composer.compose(World(Identity(OWN), device(tunnel), peers()), NOW + 1)

    assert after_goodbye.device.peers == ()


def test_nobody_is_told_of_a_device_that_does_not_exist() -> None:
    composer = Composer(settings(), OWN)
    world = World(Identity(OWN))

    assert composer.describe(world, composer.compose(world, NOW).addresses, ()) is None


def test_the_description_names_the_port_that_the_device_really_has() -> None:
    report = NatReport(enabled=True, external_endpoint=Endpoint.parse("198.51.100.4:40000"), answered_at=NOW)
    composer = Composer(settings(), OWN)
    world = World(Identity(OWN), device(), peers(), PathsSnapshot(report=report))

    description = composer.describe(world, composer.compose(world, NOW).addresses, ())

    assert description is not None
    assert description.wireguard_port == 51999
    assert description.external_endpoints == (Endpoint.parse("198.51.100.4:40000"),)


def test_a_peer_reached_at_the_address_of_a_lan_sighting_is_on_the_lan() -> None:
    on_lan = peer(OTHER, source=CandidateSource.LAN)
    observed = ObservedPeer(OTHER, ENDPOINT, handshake_at=NOW)
    verdict = compose(World(Identity(OWN), device(observed), peers(on_lan))).verdicts[OTHER]

    assert path_word(on_lan, observed, verdict) == "direct-lan"
    assert path_word(peer(OTHER, source=CandidateSource.ANNOUNCED), observed, verdict) == "direct"


def compose(world: World) -> Composition:
    return Composer(settings(), OWN).compose(world, NOW)


def desired_of(composition: Composition, key: PublicKey) -> DesiredPeer:
    (found,) = (desired for desired in composition.device.peers if desired.public_key == key)
    return found


def peer(key: PublicKey, networks: tuple[IPNetwork, ...] = (), source: CandidateSource = CandidateSource.LAN) -> Peer:
    return Peer(
        key,
        derive_ipv4(key, SECRET, KEYS),
        derive_ipv6(key, SECRET, KEYS),
        candidates=(Candidate(ENDPOINT, source, NOW),),
        routable_networks=networks,
        native=True,
    )


def hosts(of: Peer) -> frozenset[IPNetwork]:
    return frozenset(ipaddress.ip_network(address) for address in (of.mesh_ipv4, of.mesh_ipv6) if address)


def peers(*known: Peer) -> PeersSnapshot:
    description = SelfDescription(
        OWN, derive_ipv4(OWN, SECRET, KEYS), derive_ipv6(OWN, SECRET, KEYS), wireguard_port=51999
    )
    return PeersSnapshot(revision=1, peers=known, description=description)


def device(*observed: ObservedPeer) -> ObservedDevice:
    return ObservedDevice("wg0", "test", 51999, peers=observed)


def settings() -> NodeSettings:
    return NodeSettings(
        secret=SECRET,
        keys=KEYS,
        interface="wg0",
        hostname="self",
        state_dir=Path("/nonexistent"),
        listen_port=51820,
        mtu=1420,
    )
