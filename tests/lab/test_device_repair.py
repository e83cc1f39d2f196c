"""What others take from a node's device is back within a second; what others claim of a host is respected as quickly.

The kind of fault: a device that is looked at now and then, so that what a hand or another program does to it lasts.
"""

from __future__ import annotations

import os
import re
import signal
import time

import pytest
from pages.faults import Observe, Observed
from support.lab.meshes import CONNECTED, the_peer
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for
from wgmesh.wireguard.disputes import AT_ONCE

BACK_S = 1.0  # what the project promises
SITE, SITE6 = "172.20.1.0/24", "fd99:1::/64"  # networks behind b
LINK = "ip link show wg0 | grep -o 'mtu [0-9]*'; ip link show wg0 | grep -o ',UP'"
SHOWN = (
    LINK,
    "ip -br address show wg0",
    "ip route show dev wg0",
    "ip -6 route show dev wg0",
    "wg show wg0 allowed-ips",
)


@pytest.fixture
def pair(fabric: Fabric) -> list[MeshNode]:
    """Two connected nodes; b has two networks behind it, which a reaches through the tunnel.

    Each test has its own: what others have undone several times is repeated more rarely for minutes.
    """
    secret = new_secret()
    a, b = fabric.add_hosts(["a", "b"])
    b.ip("address", "add", "172.20.1.1/32", "dev", "lo")
    nodes = [MeshNode(a, secret), MeshNode(b, secret, "--advertise-routes", f"{SITE},{SITE6}")]
    for node in nodes:
        node.start()
    wait_for_full_mesh(nodes)
    the_peer(nodes[0])
    wait_for(lambda: SITE in a.ip("route") and SITE6 in a.ip("-6", "route"), PATIENCE_S, "the networks are routed")
    return nodes


def shown(host: Host) -> list[str]:
    """All of the device that others could change, without the link-local part, which is the kernel's own."""
    outputs = [host.attempt("sh", "-c", command).stdout for command in SHOWN]
    return [re.sub(r"\s*\bfe80:\S+( proto.*)?", "", output).strip() for output in outputs]


def pings(host: Host, address: str) -> bool:
    return host.attempt("ping", "-c", "1", "-W", "1", address).returncode == 0


DAMAGE = {
    "its addresses taken off": "ip address flush dev wg0",
    "set down": "ip link set wg0 down",
    "its routes flushed": "ip route flush dev wg0",
    "its IPv6 routes flushed": "ip -6 route flush dev wg0",
    "another MTU": "ip link set wg0 mtu 1280",
    "a foreign address": "ip address add 10.99.0.1/24 dev wg0",
    "renamed": "ip link set wg0 down; ip link set wg0 name other",
    "deleted": "ip link del wg0",
    "the program killed": "pid=$(pgrep -x wireguard-go --ns $$ --nslist net) && kill -9 $pid",
    "allowed IPs taken away": "wg set wg0 peer $(wg show wg0 peers) allowed-ips 10.99.0.2/32",
    "its peer removed": "wg set wg0 peer $(wg show wg0 peers) remove",
    "a foreign peer": "wg set wg0 peer iAnk2dQGfbMMv2sWqlSLoPZbbJgvyUcJdLrFhpqlPk0= allowed-ips 10.99.0.3/32",
}
POLLED = {"allowed IPs taken away", "its peer removed", "a foreign peer"}  # WireGuard tells nobody: once a second


@pytest.mark.fault("The device", "others take something from it, or add to it")
@pytest.mark.parametrize("damage", DAMAGE)
def test_what_others_take_from_the_device_is_back_within_a_second(
    pair: list[MeshNode], damage: str, observe: Observe
) -> None:
    a, b = pair
    if damage == "the program killed" and the_backend(a) == "kernel":
        pytest.skip("the kernel's WireGuard is no program")
    wait_for(lambda: pings(a.host, "172.20.1.1"), PATIENCE_S, "it works before")
    before = shown(a.host)

    a.host.exec("sh", "-c", DAMAGE[damage])

    since = time.monotonic()
    within_s = promised(2 * BACK_S if damage in POLLED else BACK_S)
    wait_for(lambda: shown(a.host) == before, within_s, "the device is as it was")
    observe(Observed(recovered_s=time.monotonic() - since))
    wait_for(lambda: pings(a.host, b.wait_until_ready().mesh_ipv4), promised(BACK_S), "the mesh is reached")
    wait_for(lambda: pings(a.host, "172.20.1.1"), promised(BACK_S), "and the network behind the peer")


def the_backend(node: MeshNode) -> str:
    return node.wait_until_ready().backend


@pytest.mark.fault("The device", "its addresses are taken off and it is set down while the node process hangs")
def test_the_device_is_mended_also_while_the_node_process_hangs(pair: list[MeshNode], observe: Observe) -> None:
    a, b = pair
    address = b.wait_until_ready().mesh_ipv4
    before = shown(a.host)
    hung = a.service_pids()["node"]
    os.kill(hung, signal.SIGSTOP)
    try:
        a.host.exec("sh", "-c", "ip address flush dev wg0; ip link set wg0 down")
        since = time.monotonic()
        wait_for(lambda: shown(a.host) == before, promised(BACK_S), "the device is as it was")
        observe(Observed(recovered_s=time.monotonic() - since))
        assert pings(a.host, address)
    finally:
        os.kill(hung, signal.SIGCONT)


@pytest.mark.fault("Networks of the host", "the host claims a network behind a peer")
@pytest.mark.parametrize(
    ("claim", "withdraw"),
    [
        ("ip address add 172.20.1.9/24 dev {lan}", "ip address del 172.20.1.9/24 dev {lan}"),
        ("ip route add 172.20.1.0/24 dev {lan} metric 100", "ip route del 172.20.1.0/24 dev {lan} metric 100"),
        ("ip route replace 172.20.1.0/24 dev {lan}", "ip route del 172.20.1.0/24 dev {lan}"),
        ("ip route add 172.20.1.128/25 dev {lan}", "ip route del 172.20.1.128/25 dev {lan}"),
        (
            "ip route add 172.20.1.0/24 dev {lan} table 78; ip rule add table 78 priority 101",
            "ip rule del table 78; ip route flush table 78",
        ),
    ],
    ids=["an own network", "a route", "a route in place of ours", "a part of it", "a route of another table"],
)
def test_a_network_that_the_host_claims_is_left_to_it_and_comes_back_when_that_goes(
    pair: list[MeshNode], claim: str, withdraw: str, observe: Observe
) -> None:
    a, _ = pair
    ours = f"{SITE} dev wg0"
    wait_for(lambda: ours in a.host.ip("route"), PATIENCE_S, "it is routed into the tunnel before")

    a.host.exec("sh", "-c", claim.format(lan=a.host.interface))
    since = time.monotonic()
    wait_for(lambda: ours not in a.host.ip("route"), promised(BACK_S), "ours is gone")
    left_s = time.monotonic() - since
    wait_for(lambda: SITE in refused(a), promised(BACK_S), "and shown as refused")
    assert [peer.state for peer in a.peers()] == [CONNECTED]

    a.host.exec("sh", "-c", withdraw.format(lan=a.host.interface))
    wait_for(lambda: ours in a.host.ip("route"), promised(BACK_S), "ours is back")
    wait_for(lambda: SITE not in refused(a), promised(BACK_S), "and not refused any more")
    observe(Observed(recovered_s=left_s, shown="the route as refused, with the reason, until that goes"))


def refused(node: MeshNode) -> dict[str, str]:
    return {route.network: route.reason for route in node.wait_until_ready().refused_routes}


def test_a_rule_that_leads_the_mesh_elsewhere_is_told_and_told_no_more_when_it_goes(pair: list[MeshNode]) -> None:
    a, _ = pair
    told = f"Packets for {SITE} do not enter the tunnel"
    default = f"ip route add default dev {a.host.interface} table 77"  # claims nothing, so ours is not refused
    a.host.exec("sh", "-c", f"{default}; ip rule add table 77 priority 100")
    wait_for(lambda: told in plan(a), promised(BACK_S), "the operator is told")
    a.host.exec("sh", "-c", "ip rule del table 77; ip route flush table 77")
    wait_for(lambda: told not in plan(a), promised(BACK_S), "no more")


def plan(node: MeshNode) -> str:
    shown = node.cli("plan")
    return shown.stdout + shown.stderr


@pytest.mark.fault("The device", "a program takes a route away again and again")
def test_a_program_that_takes_a_route_away_again_and_again_is_not_fought_and_is_told(
    pair: list[MeshNode], observe: Observe
) -> None:
    a, _ = pair
    ours = f"{SITE} dev wg0"
    script = f"while true; do ip route del {SITE} dev wg0 2>/dev/null && echo taken; sleep 0.02; done"
    fighter = a.host.spawn("sh", "-c", script, name="fighter")
    wait_for(lambda: "undoes it again and again" in refused(a).get(SITE, ""), PATIENCE_S, "it is shown with its reason")
    observe(Observed(shown="the route as refused: another program undoes it again and again"))
    assert fighter.output().count("taken") <= 2 * AT_ONCE
    assert [peer.state for peer in a.peers()] == [CONNECTED]
    fighter.stop()
    wait_for(lambda: ours in a.host.ip("route") and SITE not in refused(a), PATIENCE_S, "it is back, and told no more")


def test_an_address_family_that_is_switched_off_costs_its_own_routes_alone(fabric: Fabric) -> None:
    secret = new_secret()
    a, b = (
        MeshNode(host, secret, *flags)
        for host, flags in zip(
            fabric.add_hosts(["a", "b"]), ((), ("--advertise-routes", f"{SITE},{SITE6}")), strict=True
        )
    )
    a.host.exec("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    for node in (a, b):
        node.start()
    the_peer(a)
    wait_for(lambda: SITE in a.host.ip("route"), PATIENCE_S, "the other family's network is routed")
    wait_for(lambda: "IPv6 is switched off" in refused(a).get(SITE6, ""), PATIENCE_S, "its own is refused alone")
    assert [peer.state for peer in a.peers()] == [CONNECTED]
