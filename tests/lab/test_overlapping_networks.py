"""The mesh's networks are never laid over what the host uses: refused at the start, stepped aside for while running."""

from __future__ import annotations

import ipaddress
import time

import pytest
from pages.faults import Observe, Observed
from support.lab.meshes import StartMesh
from support.lab.pings import RunningPing
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for

FLAGS = ("--mesh-subnet", "10.77.0.0/16", "--no-dht", "--no-stun")


def everything(host: Host) -> str:
    """What a node could change of a host's network."""
    looks = (["route", "show", "table", "all"], ["-6", "route", "show", "table", "all"], ["rule"], ["-o", "addr"])
    return "\n".join(host.ip(*look) for look in looks) + host.exec("nft", "list", "ruleset")


def has_settled(host: Host) -> bool:
    """Whether the kernel has given the interface its link-local address, and checked that nobody else has any."""
    addresses = host.ip("-6", "-o", "addr", "show", "dev", "eth0")
    return "fe80:" in addresses and "tentative" not in addresses and "fe80::/64" in host.ip("-6", "route")


@pytest.mark.parametrize(
    ("used", "named"),
    [
        (["addr add 10.77.5.1/24 dev eth0"], "10.77.5.0/24 is connected to eth0"),
        (["addr add 10.77.5.1/16 dev eth0"], "10.77.0.0/16 is connected to eth0"),
        (["route add 10.77.5.0/24 via 192.168.77.99"], "10.77.5.0/24 is routed through eth0"),
        (
            ["route add 10.77.5.0/24 via 192.168.77.99 table 100", "rule add to 10.0.0.0/8 lookup 100"],
            "10.77.5.0/24 is routed through eth0",
        ),
        (["route add default via 10.77.5.1 dev eth0 onlink"], "10.77.5.1/32 is a gateway of this host"),
        (["addr add 10.77.5.1/32 dev lo"], "10.77.5.1/32 is an address of lo"),
        (["route add unreachable 10.77.5.0/24"], "10.77.5.0/24 is routed through an unreachable route"),
    ],
)
def test_a_node_does_not_start_over_what_the_host_uses_and_changes_nothing(
    fabric: Fabric, used: list[str], named: str
) -> None:
    host = fabric.add_host("a")
    for command in used:
        host.ip(*command.split())
    wait_for(lambda: has_settled(host), PATIENCE_S, "the kernel is done with the new interface")
    before = everything(host)
    node = MeshNode(host, new_secret(), *FLAGS)
    assert node.start().wait(PATIENCE_S) == 1
    (sentence,) = (line for line in node.running_process().output().splitlines() if line.startswith("wgmesh: "))
    assert "--mesh-subnet" in sentence and named in sentence
    assert everything(host) == before


def test_a_name_server_in_the_network_hinders_unless_the_network_was_chosen(fabric: Fabric) -> None:
    """Only the operator knows whether it is a member."""
    a, b = fabric.add_hosts(["a", "b"])
    for host in (a, b):
        host.write_resolver("nameserver 10.77.0.53\n")
    secret = secret_with_network("10.77.")
    refused = MeshNode(a, secret, "--no-dht", "--no-stun")
    assert refused.start().wait(PATIENCE_S) == 1
    assert "10.77.0.53/32 is a name server of this host" in refused.running_process().output()
    chosen = MeshNode(b, secret, *FLAGS)
    chosen.start()
    assert "10.77.0.53" in next(warning.text for warning in chosen.wait_until_ready().warnings)


def test_wider_routes_hinder_nobody(fabric: Fabric) -> None:
    hosts = fabric.add_hosts(["a", "b"])
    secret = new_secret()
    for host in hosts:
        for network in ("default", "10.0.0.0/8", "10.64.0.0/10"):
            host.ip("route", "add", network, "via", "192.168.77.99")
    nodes = [MeshNode(host, secret, *FLAGS) for host in hosts]
    for node in nodes:
        node.start()
    wait_for_full_mesh(nodes)
    assert [list(node.wait_until_ready().warnings) for node in nodes] == [[], []]


@pytest.mark.fault("Networks of the host", "a second mesh of the same network starts on the host")
def test_of_two_meshes_with_one_network_on_a_host_the_second_is_refused(
    start_mesh: StartMesh, observe: Observe
) -> None:
    a, b = start_mesh("a b", *FLAGS)
    with RunningPing(a.host, b.wait_until_ready().mesh_ipv4) as ping:
        second = MeshNode(a.host, new_secret(), *FLAGS, interface="wg1")
        assert second.start().wait(PATIENCE_S) == 1
        assert "10.77.0.0/16 belongs to another mesh of this host, on wg0" in second.running_process().output()
        same = MeshNode(a.host, a.secret_file.read_text().strip(), *FLAGS, interface="wg2")
        assert same.start().wait(PATIENCE_S) == 1
        assert "belongs to another mesh of this host, on wg0" in same.running_process().output()
    observe(Observed(len(ping.lost), shown="its start is refused, and names `--mesh-subnet`"))
    assert ping.lost == []
    beside = MeshNode(a.host, new_secret(), "--mesh-subnet", "10.78.0.0/16", "--no-dht", "--no-stun", interface="wg1")
    beside.start()
    assert beside.wait_until_ready().mesh_subnet == "10.78.0.0/16"


@pytest.mark.fault("Networks of the host", "a network of its own appears inside the mesh's, and goes again")
def test_a_network_that_appears_is_left_to_the_host_and_no_other_member_is_cut_off(
    fabric: Fabric, start_mesh: StartMesh, observe: Observe
) -> None:
    a, b = start_mesh("a b", *FLAGS)
    theirs = free_network(a, b)
    neighbour = fabric.add_host("neighbour")
    neighbour.ip("addr", "add", f"{theirs[1]}/24", "dev", "eth0")
    before = (a.host.ip("route"), a.host.exec("nft", "list", "ruleset"))
    with RunningPing(a.host, b.wait_until_ready().mesh_ipv4) as ping:
        a.host.ip("addr", "add", f"{theirs[2]}/24", "dev", "eth0")
        since = time.monotonic()
        wait_for(lambda: pings(a.host, str(theirs[1])), promised(1.0), "the host reaches its new network")
        reached_s = time.monotonic() - since
        wait_for(lambda: overlap_in_status(a), PATIENCE_S, "the status names it")
        assert str(theirs) in overlap_in_status(a) and "--mesh-subnet" in overlap_in_status(a)
        a.host.ip("addr", "del", f"{theirs[2]}/24", "dev", "eth0")
        wait_for(lambda: not overlap_in_status(a), PATIENCE_S, "the warning ends")
        wait_for(
            lambda: (a.host.ip("route"), a.host.exec("nft", "list", "ruleset")) == before,
            PATIENCE_S,
            "the mesh has its network again",
        )
    observe(Observed(len(ping.lost), reached_s, "the first warning of `status`, until it goes"))
    assert ping.lost == []


def test_a_network_that_holds_the_own_address_takes_that_family_and_the_other_goes_on(
    fabric: Fabric, start_mesh: StartMesh
) -> None:
    a, b = start_mesh("a b", *FLAGS)
    neighbour = fabric.add_host("neighbour")
    theirs = free_network(a, b)
    neighbour.ip("addr", "add", f"{theirs[1]}/16", "dev", "eth0")
    own = a.wait_until_ready().mesh_ipv4
    with RunningPing(a.host, b.wait_until_ready().mesh_ipv6) as ping:
        a.host.ip("addr", "add", f"{theirs[2]}/16", "dev", "eth0")
        wait_for(lambda: pings(a.host, str(theirs[1])), promised(1.0), "the host reaches its new network")
        wait_for(lambda: own not in a.host.ip("addr", "show", "wg0"), PATIENCE_S, "the own address steps aside")
        wait_for(lambda: own in overlap_in_status(a), PATIENCE_S, "the status says first what became of it")
        a.host.ip("addr", "del", f"{theirs[2]}/16", "dev", "eth0")
        wait_for(lambda: pings(a.host, b.wait_until_ready().mesh_ipv4), PATIENCE_S, "the mesh has its network again")
    assert ping.lost == []


def test_a_device_of_an_earlier_life_steps_aside_instead_of_being_refused(start_mesh: StartMesh) -> None:
    """A node that was killed, and starts again beside a network that came meanwhile, has tunnels that work."""
    a, b = start_mesh("a b", *FLAGS, "--keep-interface")
    theirs = free_network(a, b)
    a.running_process().stop()
    a.host.ip("addr", "add", f"{theirs[2]}/24", "dev", "eth0")
    a.start()
    wait_for(lambda: overlap_in_status(a), PATIENCE_S, "the status names it")
    wait_for(lambda: pings(a.host, b.wait_until_ready().mesh_ipv4), PATIENCE_S, "its tunnel works")


def free_network(*nodes: MeshNode) -> ipaddress.IPv4Network:
    """A /24 of the mesh's network in which no member is."""
    used = {ipaddress.IPv4Address(node.wait_until_ready().mesh_ipv4) for node in nodes}
    subnets = ipaddress.IPv4Network("10.77.0.0/16").subnets(new_prefix=24)
    return next(network for network in subnets if not any(address in network for address in used))


def overlap_in_status(node: MeshNode) -> str:
    """The text of the warning that stands first, if it is of this kind."""
    status = node.status()
    first = status.warnings[:1] if status is not None else []
    return "".join(warning.text for warning in first if warning.code == "network-overlap")


def pings(host: Host, address: str) -> bool:
    return host.attempt("ping", "-c", "1", "-W", "0.3", address).returncode == 0


def secret_with_network(beginning: str) -> str:
    """A secret from which such a mesh network follows."""
    while True:
        secret = new_secret()
        if str(derive(Secret.parse(secret)).default_ipv4_network).startswith(beginning):
            return secret
