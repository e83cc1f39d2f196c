"""From snapshots to one desired device."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.addressing import derive_ipv4, derive_ipv6
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import (
    Candidate,
    CandidateSource,
    DesiredPeer,
    Endpoint,
    Identity,
    IPNetwork,
    Mapping,
    NatReport,
    ObservedDevice,
    ObservedPeer,
    PathsSnapshot,
    Peer,
    PeersSnapshot,
    PortMapping,
    PublicKey,
    SelfDescription,
    Sighting,
)
from wgmesh.core.outside import SIGHTINGS_ANNOUNCED_MAX
from wgmesh.core.wireguard_times import REJECT_AFTER_S
from wgmesh.node.composition import SEEN_MAX, Composer, Composition, World
from wgmesh.node.handshakes import INITIATOR_KEEPALIVE_S, RETRY_GAP_S
from wgmesh.node.liveness import Liveness
from wgmesh.node.settings import NodeSettings

SECRET = Secret.parse("wgmesh-composition-test-secret")
KEYS = derive(SECRET)
OWN, OTHER, THIRD = sorted(PublicKey(bytes([number] * 32)) for number in (1, 120, 250))
FOURTH, FIFTH = PublicKey(bytes([121] * 32)), PublicKey(bytes([122] * 32))
ENDPOINT = Endpoint.parse("192.0.2.7:51820")
INSIDE = Endpoint.parse("192.168.77.9:51820")
NOW = 1_000_000.0
SITES = (ipaddress.ip_network("192.168.77.0/24"), ipaddress.ip_network("192.168.0.0/16"))
ADVERTISED = ipaddress.ip_network("192.168.5.0/24")
REPORT = NatReport(enabled=True, mapping=Mapping.ADDRESS_DEPENDENT, answered_at=NOW)


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
    assert desired.persistent_keepalive_s == INITIATOR_KEEPALIVE_S


def test_the_device_takes_none_of_the_ports_that_other_parts_listen_on() -> None:
    reserved = compose(World(Identity(OWN), device(), peers())).device.reserved_ports

    assert reserved == {KEYS.gossip_port, KEYS.dht_port, KEYS.lan_port}


def test_the_own_key_in_the_peer_table_is_no_peer() -> None:
    composition = compose(World(Identity(OWN), device(), peers(peer(OWN))))

    assert composition.device.peers == ()
    assert composition.verdicts == {}


def test_a_banned_key_is_no_peer_even_if_others_name_it_and_however_well_its_tunnel_works() -> None:
    tunnel = device(ObservedPeer(OTHER, ENDPOINT, hosts(peer(OTHER)), 25, handshake_at=NOW - 5))
    for named in (peers(peer(OTHER)), peers()):
        composition = compose(World(Identity(OWN), tunnel, replace(named, banned=(OTHER,))))

        assert composition.device.peers == ()
        assert composition.verdicts == {}


def test_an_address_outside_the_mesh_is_not_routed_and_the_peer_is_named() -> None:
    stranger = Peer(OTHER, ipaddress.IPv4Address("8.8.8.8"), ipaddress.IPv6Address("2001:db8::1"))

    composition = compose(World(Identity(OWN), device(), peers(stranger, peer(THIRD))))

    assert desired_of(composition, OTHER).allowed_ips == frozenset()
    assert desired_of(composition, THIRD).allowed_ips == hosts(peer(THIRD))
    assert composition.foreign_subnet == {OTHER}


def test_a_contested_address_is_routed_to_its_winner_only() -> None:
    victim, thief = peer(THIRD), Peer(OTHER, derive_ipv4(THIRD, SECRET, KEYS), native=True)

    composition = compose(World(Identity(OWN), device(), peers(victim, thief)))

    assert desired_of(composition, THIRD).allowed_ips == hosts(victim)
    assert desired_of(composition, OTHER).allowed_ips == frozenset()


def test_the_claim_of_a_banned_peer_neither_wins_an_address_nor_contests_it() -> None:
    """Its key would win by every rule; discovery may still name it for a moment."""
    victim, thief = peer(THIRD), replace(peer(OTHER), mesh_ipv4=derive_ipv4(THIRD, SECRET, KEYS), native=True)
    tunnel = device(ObservedPeer(OTHER, ENDPOINT, hosts(thief), 25, handshake_at=NOW - 5))

    composition = compose(World(Identity(OWN), tunnel, replace(peers(victim, thief), banned=(OTHER,))))

    assert desired_of(composition, THIRD).allowed_ips == hosts(victim)
    assert composition.contests == () and [each.public_key for each in composition.device.peers] == [THIRD]


def test_a_node_that_lost_its_address_to_a_peer_keeps_it_once_that_peer_is_banned() -> None:
    thief = replace(peer(OTHER), mesh_ipv4=derive_ipv4(OWN, SECRET, KEYS))

    composition = compose(World(Identity(OWN), device(), replace(peers(thief), banned=(OTHER,))))

    assert composition.addresses.ipv4 == derive_ipv4(OWN, SECRET, KEYS) and composition.contests == ()


def test_advertised_networks_are_left_to_the_admission_of_the_wireguard_service() -> None:
    network = ipaddress.ip_network("192.168.77.0/24")

    tunnel = device(ObservedPeer(OTHER, ENDPOINT, handshake_at=NOW - 5))
    composition = compose(World(Identity(OWN), tunnel, peers(peer(OTHER, networks=(network,)))))

    assert desired_of(composition, OTHER).routable_networks == {network}


def test_a_network_of_a_peer_without_a_tunnel_is_not_wanted_on_the_device() -> None:
    network = ipaddress.ip_network("192.168.77.0/24")

    composition = compose(World(Identity(OWN), device(), peers(peer(OTHER, networks=(network,)))))

    assert desired_of(composition, OTHER).routable_networks == frozenset()
    assert [(each.network, each.is_waiting) for each in composition.refused_routes] == [(network, True)]


@pytest.mark.parametrize(
    ("changes", "is_routed"),
    [
        ({"control_endpoint": INSIDE}, False),
        ({"candidates": (Candidate(INSIDE, CandidateSource.OBSERVED, NOW, proven_at=NOW),)}, False),
        ({"candidates": (Candidate(INSIDE, CandidateSource.OBSERVED, NOW),)}, True),
        ({"candidates": (Candidate(INSIDE, CandidateSource.ANNOUNCED, NOW),)}, True),
        # on a LAN of this host the wireguard service refuses every route, with the better reason
        (
            {"candidates": (Candidate(INSIDE, CandidateSource.LAN, NOW, proven_at=NOW),), "control_endpoint": INSIDE},
            True,
        ),
    ],
)
def test_a_route_never_holds_where_a_member_was_reached_and_cannot_be_blocked_by_where_one_says_it_is(
    changes: dict[str, Any], is_routed: bool
) -> None:
    network = ipaddress.ip_network("192.168.77.0/24")
    tunnel = device(ObservedPeer(OTHER, ENDPOINT, handshake_at=NOW - 5))
    third = replace(peer(THIRD), possession_at=NOW, **changes)

    composition = compose(World(Identity(OWN), tunnel, peers(peer(OTHER, networks=(network,)), third)))

    assert desired_of(composition, OTHER).routable_networks == ({network} if is_routed else frozenset())


@pytest.mark.parametrize(("is_there", "kept"), [(True, True), (False, False)])
def test_a_network_outlives_the_proof_of_its_tunnel_where_the_device_has_it(is_there: bool, kept: bool) -> None:
    network = ipaddress.ip_network("192.168.77.0/24")
    stale = ObservedPeer(OTHER, ENDPOINT, hosts(peer(OTHER)) | {network}, handshake_at=NOW - REJECT_AFTER_S - 5)
    there = replace(device(stale), routes=frozenset({network} if is_there else ()))

    composition = compose(World(Identity(OWN), there, peers(peer(OTHER, networks=(network,)))))

    assert desired_of(composition, OTHER).routable_networks == ({network} if kept else frozenset())


def test_a_network_that_the_operator_does_not_accept_is_neither_routed_nor_passed_over_in_silence() -> None:
    wanted, refused = ipaddress.ip_network("192.168.77.0/24"), ipaddress.ip_network("192.168.78.0/24")
    composer = Composer(replace(settings(), accept_routes=(wanted,)), OWN)

    tunnel = device(ObservedPeer(OTHER, ENDPOINT, handshake_at=NOW - 5))
    composition = composer.compose(World(Identity(OWN), tunnel, peers(peer(OTHER, (wanted, refused)))), NOW)

    assert desired_of(composition, OTHER).routable_networks == {wanted}
    assert [(each.network, each.public_key) for each in composition.refused_routes] == [(refused, OTHER)]


@pytest.mark.parametrize(("age_s", "next_in_s"), [(5.0, RETRY_GAP_S), (REJECT_AFTER_S - 1, 1.0)])
def test_of_several_things_that_are_due_the_earliest_wins(age_s: float, next_in_s: float) -> None:
    """A peer without an address is looked at again after a while; a contested network when its holder's proof ends."""
    network = ipaddress.ip_network("192.168.77.0/24")
    holder = ObservedPeer(OTHER, ENDPOINT, handshake_at=NOW - age_s)
    waiting = replace(peer(THIRD, (network,)), candidates=())

    composition = compose(World(Identity(OWN), device(holder), peers(peer(OTHER, (network,)), waiting)))

    assert composition.next_at == NOW + next_in_s


def test_a_peer_that_left_is_no_reason_to_look_again() -> None:
    composer = Composer(settings(), OWN)
    assert composer.compose(World(Identity(OWN), device(), peers(peer(OTHER))), NOW).next_at is not None

    assert composer.compose(World(Identity(OWN), device(), peers()), NOW + 0.01).next_at is None


def test_a_first_handshake_that_does_not_come_is_begun_again_unless_it_has_come_meanwhile() -> None:
    composer = Composer(settings(), OWN)
    due = composer.compose(World(Identity(OWN), device(), peers(peer(OTHER))), NOW).next_at
    assert due is not None

    again = composer.compose(World(Identity(OWN), device(ObservedPeer(OTHER, ENDPOINT)), peers(peer(OTHER))), due)

    assert desired_of(again, OTHER).only_if_connected
    assert not desired_of(compose(World(Identity(OWN), device(), peers(peer(OTHER)))), OTHER).only_if_connected


def test_a_connected_peer_keeps_the_endpoint_that_wireguard_has() -> None:
    connected = device(ObservedPeer(OTHER, ENDPOINT, handshake_at=NOW - 5))

    assert desired_of(compose(World(Identity(OWN), connected, peers(peer(OTHER)))), OTHER).endpoint is None


@pytest.mark.parametrize("known", [(OTHER,), ()])
def test_received_bytes_keep_a_tunnel_alive_beyond_its_handshake(known: tuple[PublicKey, ...]) -> None:
    """Also one of an earlier life that discovery has not named yet."""
    composer = Composer(settings(), OWN)
    for after_s, rx_bytes in ((0.0, 100), (REJECT_AFTER_S - 10, 200), (REJECT_AFTER_S + 10, 200)):
        tunnel = ObservedPeer(OTHER, ENDPOINT, hosts(peer(OTHER)), 25, handshake_at=NOW - 5, rx_bytes=rx_bytes)
        composition = composer.compose(World(Identity(OWN), device(tunnel), peers(*map(peer, known))), NOW + after_s)

    assert desired_of(composition, OTHER).allowed_ips == hosts(peer(OTHER))
    assert [verdict.liveness for verdict in composition.verdicts.values()] == [Liveness.CONNECTED] * len(known)


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
    routes = {
        ipaddress.ip_network("192.168.77.0/24"),
        ipaddress.ip_network("192.168.78.9/32"),  # one host, outside the mesh
        ipaddress.ip_network((KEYS.default_ipv4_network.network_address, 24)),  # in the mesh, more than one host
    }
    tunnel = ObservedPeer(OTHER, ENDPOINT, hosts(peer(OTHER)) | routes, 22, handshake_at=NOW - 5)
    known = ObservedPeer(THIRD, ENDPOINT, hosts(peer(THIRD)), 25, handshake_at=NOW - 5)

    composition = compose(World(Identity(OWN), device(known, tunnel), peers(peer(THIRD))))

    kept = desired_of(composition, OTHER)
    assert kept.allowed_ips == hosts(peer(OTHER))
    assert kept.routable_networks == routes
    assert kept.persistent_keepalive_s == 22


def test_a_peer_that_is_retained_keeps_its_routes_against_a_lower_key_without_a_tunnel() -> None:
    network = ipaddress.ip_network("192.168.77.0/24")
    tunnel = ObservedPeer(THIRD, ENDPOINT, hosts(peer(THIRD)) | {network}, 25, handshake_at=NOW - 5)

    composition = compose(World(Identity(OWN), device(tunnel), peers(peer(OTHER, (network,)))))

    assert desired_of(composition, THIRD).routable_networks == {network}
    assert desired_of(composition, OTHER).routable_networks == frozenset()


def test_a_tunnel_that_an_earlier_life_left_behind_dead_is_removed() -> None:
    tunnel = ObservedPeer(OTHER, ENDPOINT, hosts(peer(OTHER)), 25, handshake_at=NOW - 500)

    assert compose(World(Identity(OWN), device(tunnel), peers())).device.peers == ()


def test_a_peer_that_discovery_dropped_is_removed_although_its_tunnel_was_fresh() -> None:
    composer = Composer(settings(), OWN)
    tunnel = ObservedPeer(OTHER, ENDPOINT, hosts(peer(OTHER)), 25, handshake_at=NOW - 5)
    composer.compose(World(Identity(OWN), device(tunnel), peers(peer(OTHER))), NOW)

    after_goodbye = composer.compose(World(Identity(OWN), device(tunnel), peers()), NOW + 1)

    assert after_goodbye.device.peers == ()


def test_a_peer_that_discovery_names_has_no_reason_to_go() -> None:
    composition = compose(World(Identity(OWN), device(ObservedPeer(OTHER, ENDPOINT)), peers(peer(OTHER))))

    assert composition.unwanted == {}


def test_a_peer_that_goes_has_its_reason() -> None:
    composer = Composer(settings(), OWN)
    tunnels = [
        ObservedPeer(OWN, ENDPOINT),
        ObservedPeer(OTHER, ENDPOINT, handshake_at=NOW),
        ObservedPeer(THIRD, ENDPOINT, handshake_at=NOW),
        ObservedPeer(FOURTH, ENDPOINT, handshake_at=NOW - 500),
        ObservedPeer(FIFTH, ENDPOINT, handshake_at=NOW),
    ]
    composer.compose(World(Identity(OWN), device(*tunnels), peers(peer(OTHER), peer(THIRD))), NOW)

    without = replace(peers(), banned=(OTHER,))
    composition = composer.compose(World(Identity(OWN), device(*tunnels), without), NOW + 1)

    assert composition.unwanted == {
        OWN: "It carries this node's own key, and a node is no peer of itself.",
        OTHER: "It is banned.",
        THIRD: "Discovery names it no more: it has left, or it was not heard of for too long.",
        FOURTH: "Discovery has never named it, and nothing proves its tunnel: nothing was received for 501 s.",
    }
    assert [each.public_key for each in composition.device.peers] == [FIFTH]  # kept for its tunnel


# Of each of three peers: whether discovery names it, its last handshake (None: the device does not have it; 0: never),
# and its bytes.
sights = st.tuples(st.booleans(), st.sampled_from([None, 0.0, NOW - 170, NOW, NOW + 60]), st.integers(0, 2))
moments = st.tuples(sights, sights, sights, st.booleans(), st.integers(0, 200))


@given(st.lists(st.tuples(moments, st.lists(moments, max_size=1)), max_size=5))
def test_a_preview_is_what_composing_gives_and_is_not_noticed_by_the_next_turn(
    turns: list[tuple[Moment, list[Moment]]],
) -> None:
    asked, left_alone = Composer(settings(), OWN), Composer(settings(), OWN)
    now = NOW
    for moment, previews in turns:
        for preview in previews:
            asked.preview(at(preview), now + preview[-1])
        now += moment[-1]
        expected = left_alone.compose(at(moment), now)
        assert asked.preview(at(moment), now) == expected
        assert asked.compose(at(moment), now) == expected


Sight = tuple[bool, float | None, int]
Moment = tuple[Sight, Sight, Sight, bool, int]


def at(moment: Moment) -> World:
    """The world at a moment. All peers want the same two networks, so that it matters who has got them before."""
    *sights, is_told, _ = moment
    known, observed = [], []
    for key, (is_named, handshake_at, rx_bytes) in zip((OTHER, THIRD, FOURTH), sights, strict=True):
        if is_named:
            known.append(peer(key, SITES))
        if handshake_at is not None:
            observed.append(ObservedPeer(key, ENDPOINT, handshake_at=handshake_at or None, rx_bytes=rx_bytes))
    snapshot = peers(*known)
    return World(Identity(OWN), device(*observed), snapshot if is_told else replace(snapshot, description=None))


@pytest.mark.parametrize(("named", "is_removed"), [(SEEN_MAX, True), (SEEN_MAX + 1, False)])
def test_who_has_left_is_remembered_until_too_many_others_were_named(named: int, is_removed: bool) -> None:
    composer = Composer(settings(), OWN)
    tunnel = ObservedPeer(OTHER, ENDPOINT, hosts(peer(OTHER)), 25, handshake_at=NOW - 5)
    composer.compose(World(Identity(OWN), device(tunnel), peers(peer(OTHER))), NOW)
    address = KEYS.default_ipv4_network.network_address
    others = [Peer(PublicKey(b"new" + n.to_bytes(29, "big")), address + n) for n in range(1, named)]

    composition = composer.compose(World(Identity(OWN), device(tunnel), peers(*others)), NOW + 1)

    assert (OTHER not in {desired.public_key for desired in composition.device.peers}) is is_removed


def test_nobody_is_told_of_a_device_that_does_not_exist() -> None:
    composer = Composer(settings(), OWN)
    world = World(Identity(OWN))

    assert composer.describe(world, composer.compose(world, NOW).addresses, ()) is None


def test_the_description_names_the_port_that_the_device_really_has() -> None:
    description = describe(replace(REPORT, external_endpoint=Endpoint.parse("198.51.100.4:40000")))

    assert description.wireguard_port == 51999
    assert description.external_endpoints == (Endpoint.parse("198.51.100.4:40000"),)


def test_where_stun_servers_are_divided_all_they_say_is_a_candidate_up_to_a_bound() -> None:
    seen = tuple(Endpoint.parse(f"198.51.100.{number}:40000") for number in range(1, 9))
    report = replace(REPORT, sightings=tuple(map(Sighting, seen)))

    assert describe(report).external_endpoints == seen[:SIGHTINGS_ANNOUNCED_MAX]
    assert describe(replace(report, external_endpoint=seen[5])).external_endpoints == (seen[5],)


MAPPED, MAPPED_EXCHANGE = map(Endpoint.parse, ("198.51.100.1:51999", "198.51.100.1:52000"))
FORWARDED = PortMapping(True, "PCP", MAPPED, MAPPED_EXCHANGE, is_confirmed=True)


def test_what_the_router_forwards_comes_first_and_other_ports_of_its_address_only_if_all_servers_see_them() -> None:
    beside, elsewhere = Endpoint.parse("198.51.100.1:40000"), Endpoint.parse("198.51.100.9:40000")
    divided = replace(REPORT, sightings=(Sighting(beside), Sighting(elsewhere)), port_mapping=FORWARDED)

    told = describe(divided)
    assert (told.external_endpoints, told.mapped_exchange) == ((MAPPED, elsewhere), MAPPED_EXCHANGE)
    assert describe(replace(divided, external_endpoint=beside)).external_endpoints == (MAPPED, beside)
    assert describe(replace(divided, external_endpoint=MAPPED)).external_endpoints == (MAPPED,)


def test_a_mapping_that_stun_has_not_confirmed_is_told_to_nobody() -> None:
    report = replace(REPORT, external_endpoint=ENDPOINT, port_mapping=replace(FORWARDED, is_confirmed=False))

    assert describe(report).external_endpoints == (ENDPOINT,)
    assert describe(report).mapped_exchange is None


def test_the_description_says_what_the_operator_has_set() -> None:
    description = describe(REPORT)

    assert (description.hostname, description.introducer) == ("self", True)
    assert description.routable_networks == (ADVERTISED,)
    assert description.external_endpoints == ()


def test_the_kind_of_nat_is_told_once_a_server_has_answered() -> None:
    assert describe(REPORT).nat_type == "symmetric"
    assert describe(replace(REPORT, answered_at=None)).nat_type == ""


def describe(report: NatReport) -> SelfDescription:
    composer = Composer(replace(settings(), introducer=True), OWN)
    world = World(Identity(OWN), device(), peers(), PathsSnapshot(report=report))
    description = composer.describe(world, composer.compose(world, NOW).addresses, (ADVERTISED,))
    assert description is not None
    return description


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
