"""Hosts whose firewalls drop what a node lives by: the status of both sides names the ports."""

from __future__ import annotations

import json
from typing import cast

import pytest
from pages.faults import Observe, Observed
from support.lab.layers import layer_detail
from support.waiting import PATIENCE_S
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import TimedOut, wait_for

OFFLINE = ("--no-stun", "--no-dht")  # the LAN is all there is
LAN_PORT, WIREGUARD_PORT = 51830, 51820
SAID_S = 30.0 + PATIENCE_S  # what a layer waits before it calls a silence one


def drop_incoming(host: Host, *ports: int) -> None:
    """A firewall that knows no connections: what comes to these UDP ports from the network is dropped."""
    rule = f'iifname "eth0" udp dport {{ {", ".join(map(str, ports))} }} drop'
    host.nft(f"table inet firewall {{ chain arriving {{ type filter hook input priority 0; {rule}\n}}\n}}\n")


def layer_state(node: MeshNode, name: str) -> str:
    layers = json.loads(node.cli("status", "--json").stdout)["layers"]
    return str(next(each["state"] for each in layers if each["name"] == name))


def the_reason(node: MeshNode) -> str:
    """Why the only peer of a node is not connected, as `peers list` says it; empty while there is none."""
    shown = node.cli("peers", "list", "--json")
    peers = cast("list[dict[str, str]]", json.loads(shown.stdout)["peers"]) if shown.returncode == 0 else []
    return peers[0]["reason"] if len(peers) == 1 else ""


def test_a_node_that_is_alone_on_its_lan_says_so_and_names_the_port_without_alarm(fabric: Fabric) -> None:
    node = MeshNode(fabric.add_host("a"), new_secret(), *OFFLINE)
    node.start()
    node.wait_until_ready()
    detail = wait_for(
        lambda: found if "nothing heard" in (found := layer_detail(node, "lan")) else None, SAID_S, "it says so"
    )
    assert detail.startswith("on eth0; nothing heard since ")
    assert detail.endswith(f": no other node is there, or a firewall drops UDP {LAN_PORT}")
    assert layer_state(node, "lan") == "running"


@pytest.mark.fault("The LAN", "a firewall of the host drops multicast")
def test_a_firewall_that_drops_multicast_is_found_by_the_echo_that_is_missing(fabric: Fabric, observe: Observe) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret, *OFFLINE) for host in fabric.add_hosts(["a", "b"]))
    drop_incoming(a.host, LAN_PORT)
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b])  # the other hears it, and asks
    wait_for(lambda: "do not come back" in layer_detail(a, "lan"), SAID_S, "it finds its own firewall")
    assert layer_detail(a, "lan").startswith("on eth0; own announcements do not come back on eth0 (IPv4)")
    assert layer_detail(a, "lan").endswith(f": a firewall on this host drops UDP {LAN_PORT}")
    assert layer_state(a, "lan") == "degraded" and layer_detail(b, "lan") == "on eth0"
    observe(Observed(shown=f"layer `lan` degraded: a firewall on this host drops UDP {LAN_PORT}"))


@pytest.mark.fault("The LAN", "a firewall drops the exchange port and WireGuard's")
def test_a_firewall_that_drops_exchange_and_wireguard_is_named_on_both_sides(fabric: Fabric, observe: Observe) -> None:
    secret = new_secret()
    exchange_port = derive(Secret(secret)).gossip_port
    a, b = (MeshNode(host, secret, *OFFLINE) for host in fabric.add_hosts(["a", "b"]))
    drop_incoming(a.host, exchange_port, WIREGUARD_PORT)
    for node in (a, b):
        node.start()
    ports = f"UDP {exchange_port} (exchange) and {WIREGUARD_PORT} (WireGuard)"
    # The other is asked in vain, and has shown its key by asking itself.
    wait_for_reason(b, f":{exchange_port}: a firewall there probably drops {ports}")
    assert "it is heard on the LAN but silent at " in the_reason(b)
    # Nothing comes in here, so it may be this firewall as well, and the other is a name that proves nothing.
    wait_for_reason(a, f":{exchange_port}: if it is one of yours, a firewall there or here probably drops {ports}")
    wait_for(lambda: "nobody has answered since" in layer_detail(a, "exchange"), SAID_S, "the layer says so")
    assert layer_detail(a, "exchange").endswith(f": nobody is there, or a firewall drops {ports}")
    a.host.nft("delete table inet firewall\n")
    wait_for_full_mesh([a, b])
    wait_for(lambda: the_reason(a) == "", PATIENCE_S, "nothing more is said of the peer")
    wait_for(lambda: layer_detail(a, "exchange") == f"port {exchange_port}", PATIENCE_S, "nor of the layer")
    observe(Observed(shown="with the peer, on both sides: a firewall probably drops these ports, by number"))


def test_a_firewall_that_drops_wireguard_alone_is_told_from_one_that_drops_all(fabric: Fabric) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret, *OFFLINE) for host in fabric.add_hosts(["a", "b"]))
    drop_incoming(a.host, WIREGUARD_PORT)
    for node in (a, b):
        node.start()
    advice = f"a firewall probably drops UDP {WIREGUARD_PORT} (WireGuard) there or {WIREGUARD_PORT} here"
    for node in (a, b):
        wait_for_reason(node, f"all the same: {advice}")


def wait_for_reason(node: MeshNode, end: str) -> None:
    """Waits until what is said of the only peer of a node ends so. Raises TimedOut with what was said."""
    try:
        wait_for(lambda: the_reason(node).endswith(end), SAID_S, f"{node.name} says: {end}")
    except TimedOut as error:
        raise TimedOut(f"{error}; at last it said: {the_reason(node)}") from None
