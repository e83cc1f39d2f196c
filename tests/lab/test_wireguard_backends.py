"""The real device in network namespaces: every test runs on the back end that this machine has."""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.devices import LIMITS
from support.interpreters import STRANGER
from support.lab.namespace import Node, two_nodes
from support.lab.wireguard_lab import BACKENDS, KEY_A, KEY_B, PRESHARED_KEY, apply, desired, observe, peer
from wgmesh.core.errors import AlreadyRunning
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import DesiredPeer
from wgmesh.wireguard.io.backend import open_device
from wgmesh.wireguard.io.netlink import ROUTE_PROTOCOL
from wgmesh.wireguard.io.userspace import open_userspace_tunnel, start_program
from wgmesh.wireguard.reconciler import Reconciler, Turn


def meet(a: Node, b: Node) -> None:
    """Lets the tunnel of both be proven: networks are routed to nobody else."""
    apply(b, KEY_B, desired(2, peer(KEY_A, 1)))
    apply(a, KEY_A, desired(1, peer(KEY_B, 2)))
    assert "1 received" in a.call("ping", "-c1", "-W3", "10.77.0.2")


@pytest.fixture(params=BACKENDS)
def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    with two_nodes(tmp_path) as pair:
        yield pair


def test_two_devices_applied_through_the_plan_ping_each_other(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    apply(b, KEY_B, desired(2, peer(KEY_A, 1)))
    turn = apply(a, KEY_A, desired(1, peer(KEY_B, 2)))
    assert turn.outcome.peer_failures == () and turn.skipped == ()
    assert "1 received" in a.call("ping", "-c1", "-W3", "10.77.0.2")
    assert "1 received" in a.call("ping", "-c1", "-W3", "fd5a::2")
    seen = observe(a, KEY_A)
    assert seen is not None and seen.peers[0].handshake_at is not None


def test_applying_the_same_device_twice_does_nothing(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    meet(a, b)
    device = desired(1, peer(KEY_B, 2, "192.168.99.0/24", "fd99::/64"))
    assert apply(a, KEY_A, device).outcome.actions
    assert apply(a, KEY_A, device).outcome.actions == ()


def test_the_back_end_is_chosen_by_what_the_machine_has(nodes: tuple[Node, Node]) -> None:
    device = apply(nodes[0], KEY_A, desired(1)).outcome.device
    assert device is not None
    assert device.backend == ("kernel" if "kernel" in BACKENDS else "wireguard-go")


def test_five_hundred_peers_are_set_and_read_back_whole(nodes: tuple[Node, Node]) -> None:
    peers = [
        DesiredPeer(
            PrivateKey(number.to_bytes(16, "big") * 2).public_key,
            PRESHARED_KEY,
            frozenset({ipaddress.ip_network(f"10.77.{number >> 8}.{number & 255}/32")}),
        )
        for number in range(2000, 2500)
    ]
    device = desired(1, *peers)
    outcome = apply(nodes[0], KEY_A, device).outcome
    assert outcome.device is not None and len(outcome.device.peers) == 500
    assert apply(nodes[0], KEY_A, device).outcome.actions == ()
    assert apply(nodes[0], KEY_A, desired(1, *peers[:3])).outcome.device != outcome.device
    left = observe(nodes[0], KEY_A)
    assert left is not None and {p.public_key for p in left.peers} == {p.public_key for p in peers[:3]}


def test_an_allowed_ip_moves_from_one_peer_to_another(nodes: tuple[Node, Node]) -> None:
    third = PrivateKey(bytes([3] * 32))
    before = desired(1, peer(KEY_B, 2), peer(third, 3))
    after = desired(1, peer(KEY_B, 4), peer(third, 2))
    apply(nodes[0], KEY_A, before)
    outcome = apply(nodes[0], KEY_A, after).outcome
    assert outcome.device is not None
    owners = {p.public_key for p in outcome.device.peers if ipaddress.ip_network("10.77.0.2/32") in p.allowed_ips}
    assert owners == {third.public_key}
    assert apply(nodes[0], KEY_A, after).outcome.actions == ()


def test_an_advertised_route_carries_traffic_and_goes_when_it_is_withdrawn(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    b.call("ip", "addr", "add", "172.20.0.1/32", "dev", "lo")
    meet(a, b)
    apply(a, KEY_A, desired(1, peer(KEY_B, 2, "172.20.0.0/16")))
    assert "1 received" in a.call("ping", "-c1", "-W3", "172.20.0.1")
    assert f"proto {ROUTE_PROTOCOL} " in a.call("ip", "-N", "route", "show", "172.20.0.0/16")
    apply(a, KEY_A, desired(1, peer(KEY_B, 2)))
    assert a.call("ip", "route", "show", "172.20.0.0/16") == ""


@pytest.mark.parametrize("network", ["192.168.77.0/24", "192.168.77.2/32", "192.168.0.0/16", "0.0.0.0/0", "fd77::/64"])
def test_an_advertised_route_never_takes_the_local_network(nodes: tuple[Node, Node], network: str) -> None:
    a, b = nodes
    meet(a, b)
    before = a.call("ip", "route") + a.call("ip", "-6", "route")
    outcome = apply(a, KEY_A, desired(1, peer(KEY_B, 2, network))).outcome
    assert [str(route.network) for route in outcome.refused_routes] == [network]
    after = a.call("ip", "route") + a.call("ip", "-6", "route")
    assert set(before.splitlines()) <= set(after.splitlines())
    assert "1 received" in a.call("ping", "-c1", "-W3", "192.168.77.2")


def test_a_network_that_holds_a_gateway_of_any_table_is_not_routed(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    meet(a, b)
    device = next(line.split()[2] for line in a.call("ip", "route").splitlines() if line.startswith("192.168.77.0/24"))
    a.call("ip", "route", "add", "203.0.113.0/24", "via", "172.20.0.7", "dev", device, "onlink", "table", "100")
    a.call("ip", "-6", "route", "add", "2001:db8::/48", "via", "fd99::7", "dev", device, "onlink", "table", "100")
    outcome = apply(a, KEY_A, desired(1, peer(KEY_B, 2, "172.20.0.0/16", "172.21.0.0/16", "fd99::/64"))).outcome
    assert [str(route.network) for route in outcome.refused_routes] == ["172.20.0.0/16", "fd99::/64"]
    assert all("a gateway of this host" in route.reason for route in outcome.refused_routes)


def test_a_route_of_somebody_else_stays_when_ours_are_removed(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    meet(a, b)
    apply(a, KEY_A, desired(1, peer(KEY_B, 2, "172.20.0.0/16")))
    a.call("ip", "route", "add", "172.21.0.0/16", "dev", "wg0", "proto", "static")
    outcome = apply(a, KEY_A, desired(1, peer(KEY_B, 2))).outcome
    assert outcome.device is not None and outcome.device.routes == frozenset()
    assert "172.21.0.0/16" in a.call("ip", "route")


def test_a_port_in_use_gives_way_to_the_next_free_one(nodes: tuple[Node, Node]) -> None:
    a, _ = nodes

    async def body() -> Turn:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("0.0.0.0", 51820))
            async with open_device("wg0", KEY_A, LIMITS.mesh, a.state) as real:
                reconciler = Reconciler(real, KEY_A.public_key, None, LIMITS)
                return await reconciler.turn(replace(desired(1), reserved_ports=frozenset({51821})), time.time())

    device = a.run(body).outcome.device
    assert device is not None and device.listen_port == 51822
    assert ":51822 " in a.call("ss", "-Hlun")
    again = apply(a, KEY_A, desired(1)).outcome
    assert again.device is not None and again.device.listen_port == 51822 and again.actions == ()


def test_a_device_that_was_set_down_by_hand_is_brought_back_whole(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    meet(a, b)
    device = desired(1, peer(KEY_B, 2, "172.20.0.0/16", "fd99::/64"))
    apply(a, KEY_A, device)
    a.call("ip", "link", "set", "wg0", "down")
    outcome = apply(a, KEY_A, device).outcome
    assert outcome.device is not None and outcome.device.up
    assert len(outcome.device.addresses) == 2 and len(outcome.device.routes) == 2


def test_without_ipv6_everything_else_is_set(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    a.call("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    meet(a, b)
    turn = apply(a, KEY_A, desired(1, peer(KEY_B, 2, "172.20.0.0/16", "fd99::/64")))
    assert len(turn.skipped) == 1 and "IPv6 is switched off" in turn.skipped[0]
    assert "1 received" in a.call("ping", "-c1", "-W3", "10.77.0.2")
    assert "172.20.0.0/16" in a.call("ip", "route")


def test_a_removed_device_leaves_the_host_as_it_was(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    before = a.call("ip", "route") + a.call("ip", "-6", "route") + a.call("ip", "-br", "link")
    meet(a, b)

    async def body() -> None:
        async with open_device("wg0", KEY_A, LIMITS.mesh, a.state) as real:
            reconciler = Reconciler(real, KEY_A.public_key, None, LIMITS)
            await reconciler.turn(desired(1, peer(KEY_B, 2, "172.20.0.0/16")), time.time())
            await reconciler.remove()

    a.run(body)
    assert a.call("ip", "route") + a.call("ip", "-6", "route") + a.call("ip", "-br", "link") == before
    assert list(a.sockets.iterdir()) == [] and list(a.state.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "command"), [("bridge", "link add wg0 type bridge"), ("tun", "tuntap add wg0 mode tun")]
)
def test_an_interface_of_another_kind_is_refused_and_not_touched(
    nodes: tuple[Node, Node], kind: str, command: str
) -> None:
    a, _ = nodes
    a.call("ip", *command.split())
    before = a.call("ip", "-d", "link", "show", "wg0")
    with pytest.raises(AlreadyRunning, match=f"it is a {kind} interface"):
        apply(a, KEY_A, desired(1))
    assert a.call("ip", "-d", "link", "show", "wg0") == before


def test_a_device_with_another_key_is_refused_and_not_touched(nodes: tuple[Node, Node]) -> None:
    a, _ = nodes
    apply(a, KEY_B, desired(2, peer(KEY_A, 1)))
    before = observe(a, KEY_B)
    with pytest.raises(AlreadyRunning, match="not this node's"):
        apply(a, KEY_A, desired(1))
    assert observe(a, KEY_B) == before


def test_a_device_without_a_key_is_refused_unless_it_is_our_own_unfinished_one(nodes: tuple[Node, Node]) -> None:
    a, _ = nodes
    add_keyless_device(a)
    with pytest.raises(AlreadyRunning, match="no key"):
        apply(a, KEY_A, desired(1))
    (a.state / "wg0.creating").touch()
    os.chown(a.state / "wg0.creating", STRANGER, STRANGER)  # who could have put it there to have the device removed
    with pytest.raises(AlreadyRunning, match="no key"):
        apply(a, KEY_A, desired(1))
    assert "wg0" in a.call("ip", "-br", "link")
    (a.state / "wg0.creating").touch()
    assert apply(a, KEY_A, desired(1)).outcome.device is not None


def add_keyless_device(node: Node) -> None:
    if "kernel" in BACKENDS:
        node.call("ip", "link", "add", "wg0", "type", "wireguard")
        return

    async def body() -> None:
        async with open_userspace_tunnel("wg0") as tunnel:
            await start_program("wg0", tunnel)

    node.run(body)
