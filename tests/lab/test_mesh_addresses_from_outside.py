"""Mesh addresses are used through the tunnel alone: a neighbour can neither reach them nor speak in their name.

Each attack is carried out again without the rules, where it succeeds: so it is one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import pytest
from pages.faults import Observe, Observed
from support.lab.listeners import Listener, say, saying
from support.lab.meshes import StartMesh, start_nodes, the_peer
from support.lab.pings import RunningPing
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret
from wgmesh.demo.waiting import wait_for

TABLE = ("inet", "wgmesh-wg0")
FOREIGN = """
table inet theirs {
    chain input {
        type filter hook input priority 0; policy accept;
        ip saddr 10.0.0.0/8 counter accept comment "somebody else's"
    }
}
"""
_words = count(1)


@dataclass(frozen=True, slots=True)
class Scene:
    """Two members, and a neighbour on their LAN that has the addresses of one of them, and a way to the other's."""

    a: MeshNode
    b: MeshNode
    neighbour: Host

    def mesh_address(self, node: MeshNode, version: int) -> str:
        status = node.wait_until_ready()
        return status.mesh_ipv4 if version == 4 else status.mesh_ipv6

    def lan_address(self, host: Host, version: int) -> str:
        return str(host.ipv4 if version == 4 else host.ipv6)


@pytest.fixture
def scene(fabric: Fabric) -> Scene:
    a, b = start_nodes(fabric, ["a", "b"], "--no-dht", "--no-stun")
    found = Scene(a, b, fabric.add_host("neighbour"))
    for name in ("all", "default", "eth0", "wg0"):  # loose, as many distributions have it
        a.host.exec("sysctl", "-qw", f"net.ipv4.conf.{name}.rp_filter=2")
    for version in (4, 6):
        found.neighbour.ip("addr", "add", found.mesh_address(b, version), "dev", "lo")
        way = ("via", found.lan_address(a.host, version))
        found.neighbour.ip(f"-{version}", "route", "add", found.mesh_address(a, version), *way)
    return found


Attack = Callable[[Scene, str, int], None]


def forged_to_the_lan_address(scene: Scene, word: str, version: int) -> None:
    forged = scene.mesh_address(scene.b, version)
    say(scene.neighbour, word, scene.lan_address(scene.a.host, version), forged)


def forged_to_the_mesh_address(scene: Scene, word: str, version: int) -> None:
    say(scene.neighbour, word, scene.mesh_address(scene.a, version), scene.mesh_address(scene.b, version))


def honest_to_the_mesh_address(scene: Scene, word: str, version: int) -> None:
    say(scene.neighbour, word, scene.mesh_address(scene.a, version), scene.lan_address(scene.neighbour, version))


@pytest.mark.attack("somebody without the secret", "reach a mesh address, or speak in a member's name, from the LAN")
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("attack", [forged_to_the_lan_address, forged_to_the_mesh_address, honest_to_the_mesh_address])
def test_a_neighbour_neither_reaches_a_mesh_address_nor_speaks_in_its_name(
    scene: Scene, attack: Attack, version: int
) -> None:
    listener = Listener(scene.a.host)
    attack(scene, "attack", version)
    say(scene.neighbour, "witness", scene.lan_address(scene.a.host, version))
    wait_for(lambda: listener.has_heard("witness"), PATIENCE_S, "what came after the attack is heard")
    assert not listener.has_heard("attack")

    def succeeds_without_the_rules() -> bool:
        scene.a.host.attempt("nft", "delete", "table", *TABLE)  # the node sets it again within a second
        attack(scene, "unguarded", version)
        return listener.has_heard("unguarded")

    wait_for(succeeds_without_the_rules, PATIENCE_S, "the attack succeeds without the rules")


@pytest.mark.attack("somebody without the secret", "hear in clear what is meant for a member, when the route is lost")
@pytest.mark.parametrize("version", [4, 6])
def test_what_is_meant_for_a_member_never_leaves_in_clear(scene: Scene, version: int) -> None:
    """The neighbour is the default router and has the member's address."""
    a, listener = scene.a.host, Listener(scene.neighbour)
    member, router = scene.mesh_address(scene.b, version), scene.lan_address(scene.neighbour, version)
    a.ip(f"-{version}", "route", "add", "default", "via", router)
    network = scene.a.wait_until_ready()
    lost = f"ip -{version} route del {network.mesh_subnet if version == 4 else network.mesh_ipv6_prefix} dev wg0"
    a.exec("sh", "-c", f"{lost}; {saying('secret', member)}; {saying('witness', router)}")
    wait_for(lambda: listener.has_heard("witness"), PATIENCE_S, "what was sent afterwards is heard")
    assert not listener.has_heard("secret")

    def leaks_without_the_rules() -> bool:
        word = f"leaked{next(_words)}"
        a.attempt("sh", "-c", f"nft delete table {' '.join(TABLE)}; {lost}; {saying(word, member)}")
        say(a, f"after-{word}", router)
        wait_for(lambda: listener.has_heard(f"after-{word}"), PATIENCE_S, "what was sent afterwards is heard")
        return listener.has_heard(word)

    wait_for(leaks_without_the_rules, PATIENCE_S, "without the rules it leaves in clear")


def test_rules_of_others_are_the_same_before_and_after_a_node(fabric: Fabric) -> None:
    a, b = fabric.add_hosts(["a", "b"])
    a.nft(FOREIGN)
    before = rules_of(a)
    secret = new_secret()
    nodes = [MeshNode(host, secret, "--no-dht", "--no-stun") for host in (a, b)]
    for node in nodes:
        node.start()
    the_peer(nodes[0])
    during = rules_of(a)
    assert [rule for rule in during if "wgmesh-wg0" not in json.dumps(rule)] == before
    assert during != before
    nodes[0].running_process().stop()
    assert rules_of(a) == before


@pytest.mark.fault("Networks of the host", "somebody flushes the firewall rules of a node")
def test_rules_that_somebody_flushes_are_back_and_the_tunnel_goes_on(start_mesh: StartMesh, observe: Observe) -> None:
    a, b = start_mesh("a b", "--no-dht", "--no-stun")
    complete = own_rules(a.host)
    with RunningPing(a.host, b.wait_until_ready().mesh_ipv4) as ping:
        for damage in (
            ["flush", "ruleset"],
            ["delete", "table", *TABLE],
            ["flush", "chain", *TABLE, "arriving"],
            ["insert", "rule", *TABLE, "arriving", "accept"],
        ):
            a.host.exec("nft", *damage)
            since = time.monotonic()
            wait_for(lambda: own_rules(a.host) == complete, promised(1.0), f"the rules are back after {damage}")
            observe(Observed(recovered_s=time.monotonic() - since))
    observe(Observed(len(ping.lost)))
    assert ping.lost == []


def test_a_kept_interface_keeps_its_rules_and_the_next_start_takes_them_over(start_mesh: StartMesh) -> None:
    a, _ = start_mesh("a b", "--no-dht", "--no-stun", "--keep-interface")
    complete = own_rules(a.host)
    a.running_process().stop()
    assert own_rules(a.host) == complete
    a.flags = tuple(flag for flag in a.flags if flag != "--keep-interface")
    a.start()
    the_peer(a)
    assert own_rules(a.host) == complete
    a.running_process().stop()
    assert rules_of(a.host) == []


def test_a_site_behind_a_node_speaks_with_members_through_it(fabric: Fabric) -> None:
    """What is forwarded between LAN and tunnel has honest addresses, and passes in both directions."""
    secret = new_secret()
    site = fabric.add_lan("site").network4
    gateway, b = fabric.add_hosts(["gateway", "b"])
    fabric.attach(gateway, "site")
    behind = fabric.add_host("behind", "site")
    gateway.exec("sysctl", "-qw", "net.ipv4.ip_forward=1")
    nodes = [MeshNode(gateway, secret, "--advertise-routes", str(site), "--no-stun"), MeshNode(b, secret, "--no-stun")]
    for node in nodes:
        node.start()
    behind.ip("route", "add", nodes[0].wait_until_ready().mesh_subnet, "via", str(gateway.attachments[1].ipv4.ip))
    wait_for(lambda: "dev wg0" in b.ip("route", "show", str(site)), PATIENCE_S, "the network is routed")
    member = nodes[1].wait_until_ready().mesh_ipv4
    assert " 0% packet loss" in behind.exec("ping", "-c", "3", "-i", "0.05", "-W", "2", member)
    assert " 0% packet loss" in b.exec("ping", "-c", "3", "-i", "0.05", "-W", "2", str(behind.ipv4))


def rules_of(host: Host) -> list[object]:
    """Everything that the kernel has, without the counters that packets move."""
    listed = json.loads(host.exec("nft", "-j", "-s", "list", "ruleset"))["nftables"]
    return [each for each in listed if "metainfo" not in each]


def own_rules(host: Host) -> str:
    return host.attempt("nft", "list", "table", *TABLE).stdout
