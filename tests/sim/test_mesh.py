"""Whole meshes in virtual time: every node here runs the real cores."""

from __future__ import annotations

import ipaddress
from dataclasses import asdict

import pytest
from wgmesh.core.addressing import derive_ipv4
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint
from wgmesh.sim.network import LinkQuality
from wgmesh.sim.node import SimNode
from wgmesh.sim.world import SimWorld, simulate

SMALLEST_IPV6_PATH_BYTES = 1232  # 1280 less the headers of IPv6 and UDP


def _mesh(world: SimWorld, count: int, quality: LinkQuality | None = None) -> list[SimNode]:
    segment, secret = world.add_segment("lan", quality=quality), world.new_secret()
    nodes = [world.add_node(f"node{number}", segment, secret) for number in range(count)]
    for node in nodes:
        node.start()
    return nodes


def test_twenty_nodes_on_a_lan_all_reach_each_other_within_two_seconds() -> None:
    world = SimWorld(seed=1)
    nodes = _mesh(world, 20)
    assert world.run_until_converged(limit_s=2.0) is not None
    assert len({node.mesh_ipv4 for node in nodes}) == 20
    assert all(row.paths == ("direct-lan",) for row in world.rows())


def test_no_datagram_of_discovery_needs_fragments() -> None:
    world = SimWorld(seed=2)
    nodes = _mesh(world, 12)
    world.run(60.0)
    assert world.is_converged()
    assert max(node.host.sent.largest for node in nodes) <= SMALLEST_IPV6_PATH_BYTES


@pytest.mark.parametrize("seed", range(3))
def test_nodes_converge_where_three_of_ten_datagrams_are_lost(seed: int) -> None:
    world = SimWorld(seed)
    nodes = _mesh(world, 6, LinkQuality(delay_s=0.01, jitter_s=0.02, loss=0.3, duplication=0.1))
    for _ in range(600):
        world.run(0.1)
        if all(len(node.connected_peers) == 5 for node in nodes):
            break
    assert all(len(node.connected_peers) == 5 for node in nodes)


def test_a_partition_longer_than_every_session_heals() -> None:
    world = SimWorld(seed=3)
    nodes = _mesh(world, 6)
    assert world.run_until_converged(limit_s=5.0) is not None
    world.network.partition(["node0", "node1", "node2"], ["node3", "node4", "node5"])
    world.run(300.0)
    assert [row.reached_count for row in world.rows()] == [2] * 6
    assert all(len(node.connected_peers) == 2 for node in nodes)
    world.network.heal()
    assert world.run_until_converged(limit_s=15.0) is not None


def test_meshes_of_two_secrets_on_one_lan_never_meet() -> None:
    world = SimWorld(seed=4)
    segment = world.add_segment("lan")
    groups: list[list[SimNode]] = []
    for secret in (world.new_secret(), world.new_secret()):
        groups.append([world.add_node(f"{len(groups)}-{n}", segment, secret) for n in range(4)])
    for node in [node for group in groups for node in group]:
        node.start()
    world.run(60.0)
    assert world.is_converged()
    for group in groups:
        own = {node.public_key for node in group}
        assert all(node.known_peers <= own for node in group)


def test_a_node_that_says_goodbye_is_gone_at_once_and_stays_gone() -> None:
    world = SimWorld(seed=5)
    nodes = _mesh(world, 4)
    assert world.run_until_converged(limit_s=5.0) is not None
    leaver = nodes[2]
    others = [node for node in nodes if node is not leaver]
    leaver.leave()
    world.remove(leaver)
    world.run(5.0)
    assert not any(leaver.public_key in node.known_peers for node in others)
    for _ in range(17):  # hearsay of the others must not bring it back, also after they have forgotten that it left
        world.run(60.0)
        assert not any(leaver.public_key in node.known_peers for node in others)
    assert world.is_converged()


def test_hearsay_of_a_node_that_missed_the_goodbye_does_not_bring_the_departed_back() -> None:
    world = SimWorld(seed=11)
    nodes = _mesh(world, 4)
    leaver, ignorant, *others = nodes
    assert world.run_until_converged(limit_s=5.0) is not None
    world.network.partition(["node1"])
    leaver.leave()
    world.remove(leaver)
    world.run(10.0)
    world.network.heal()
    world.run(60.0)
    assert leaver.public_key in ignorant.known_peers
    for _ in range(70):
        world.run(10.0)
        assert not any(leaver.public_key in node.known_peers for node in others)
    assert leaver.public_key not in ignorant.known_peers


def test_a_node_that_loses_power_is_not_taken_for_connected_for_long() -> None:
    world = SimWorld(seed=6)
    nodes = _mesh(world, 4)
    assert world.run_until_converged(limit_s=5.0) is not None
    nodes[0].kill()
    world.remove(nodes[0])
    world.run(240.0)
    assert not any(nodes[0].public_key in node.connected_peers for node in nodes[1:])
    assert world.is_converged()


def test_tunnels_stay_up_for_an_hour_of_silence_on_the_lan() -> None:
    world = SimWorld(seed=7)
    nodes = _mesh(world, 3)
    assert world.run_until_converged(limit_s=5.0) is not None
    for _ in range(12):
        world.run(300.0)
        assert world.is_converged()
        assert all(len(node.connected_peers) == 2 for node in nodes)


def test_two_nodes_whose_keys_give_the_same_address_end_with_different_ones() -> None:
    world = SimWorld(seed=8)
    segment, secret = world.add_segment("lan"), world.new_secret()
    subnet = ipaddress.IPv4Network("10.99.0.0/26")
    one, other = _colliding_keys(world, secret, subnet)
    nodes = [
        world.add_node(name, segment, secret, private_key=key, mesh_subnet=subnet)
        for name, key in (("one", one), ("other", other))
    ]
    for node in nodes:
        node.start()
    assert nodes[0].mesh_ipv4 == nodes[1].mesh_ipv4
    assert world.run_until_converged(limit_s=10.0) is not None
    winner, loser = sorted(nodes, key=lambda node: node.public_key)
    assert winner.mesh_ipv4 == derive_ipv4(winner.public_key, secret, derive(secret), subnet)
    assert loser.mesh_ipv4 != winner.mesh_ipv4


def test_an_address_that_another_member_merely_names_stays_with_its_owner() -> None:
    world = SimWorld(seed=9)
    segment, secret = world.add_segment("lan"), world.new_secret()
    key = world.new_private_key()
    address = derive_ipv4(key.public_key, secret, derive(secret))
    owner = world.add_node("owner", segment, secret, private_key=key)
    pretender = world.add_node("pretender", segment, secret, mesh_ipv4=address)
    for node in (owner, pretender):
        node.start()
    assert world.run_until_converged(limit_s=10.0) is not None
    assert owner.mesh_ipv4 == address != pretender.mesh_ipv4


def test_a_node_behind_a_router_is_found_by_its_static_address_and_told_to_the_others() -> None:
    world = SimWorld(seed=10)
    near = world.add_segment("near")
    far = world.add_segment("far", ipaddress.IPv4Network("198.51.100.0/24"), LinkQuality(delay_s=0.02))
    secret = world.new_secret()
    nodes = [world.add_node(f"near{n}", near, secret) for n in range(3)]
    port = nodes[0].keys.gossip_port
    target = Endpoint(nodes[0].host.attachments[0].address.ip, port)
    nodes.append(world.add_node("far", far, secret, static_peers=(target,)))
    for node in nodes:
        node.start()
    assert world.run_until_converged(limit_s=120.0) is not None
    assert nodes[-1].path_words == ("direct",)


def test_the_same_seed_gives_the_same_run() -> None:
    first, second, third = ([(at, [asdict(row) for row in rows]) for at, rows in simulate(4, s)] for s in (1, 1, 2))
    assert first == second != third


def test_the_demonstration_ends_with_all_nodes_reaching_all() -> None:
    *_, (elapsed_s, rows) = simulate(nodes=5, seed=1)
    assert elapsed_s < 2.0
    assert [(row.reached_count, row.peer_count) for row in rows] == [(4, 4)] * 5
    assert all(row.mesh_ipv4 and row.rtt_s and row.handshake_age_s is not None for row in rows)


def test_a_single_node_is_a_complete_mesh() -> None:
    *_, (_, rows) = simulate(nodes=1, seed=1)
    assert (rows[0].reached_count, rows[0].peer_count, rows[0].rtt_s) == (0, 0, None)


def _colliding_keys(world: SimWorld, secret: Secret, subnet: ipaddress.IPv4Network) -> tuple[PrivateKey, PrivateKey]:
    """Two keys that derive one address: a subnet of 62 has some soon."""
    seen: dict[ipaddress.IPv4Address, PrivateKey] = {}
    while True:
        key = world.new_private_key()
        address = derive_ipv4(key.public_key, secret, derive(secret), subnet)
        if address in seen:
            return seen[address], key
        seen[address] = key
