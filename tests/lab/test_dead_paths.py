"""A path that is dead is left as soon as the peer is heard from elsewhere, although a handshake still proves it."""

from __future__ import annotations

import time

import pytest
from pages.faults import Observe, Observed
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret
from wgmesh.demo.pinger import Pinger, Target
from wgmesh.demo.waiting import wait_for

INTO_THE_LAN_S = 8.0  # the own address is gone: two seconds of silence, two looks, and a HELLO
OUT_OF_IT_S = 35.0  # the other side sees 15 s of silence first, and then asks where the laptop may be

INTERNET = "internet"
# A home router: it lets out, and back in what answers; it does not lead its own LAN to its outside address.
HOME_ROUTER = """
table ip home {
  chain out { type nat hook postrouting priority srcnat; policy accept; oifname "eth1" masquerade; }
  chain through { type filter hook forward priority 0; policy accept; iifname "eth1" ct state new drop; }
  chain to { type filter hook input priority 0; policy accept; ct state new drop; }
}
table ip6 home {
  chain through { type filter hook forward priority 0; policy drop; }
}
"""


@pytest.fixture
def scene(fabric: Fabric) -> tuple[MeshNode, MeshNode, Fabric]:
    """A laptop on the internet, and a machine at home, behind a NAT, that knows where the laptop was at first."""
    fabric.add_lan(INTERNET, public=True)
    router = fabric.add_router("router", ["lan", INTERNET])
    router.nft(HOME_ROUTER)
    outside = fabric.add_host("laptop", INTERNET)
    inside = fabric.add_host("home")
    secret = new_secret()
    laptop = MeshNode(outside, secret, "--no-stun", "--no-dht")
    home = MeshNode(inside, secret, "--no-stun", "--no-dht", "--peer", str(outside.ipv4))
    for node in (laptop, home):
        node.start()
    return laptop, home, fabric


def wait_for_pings(one: MeshNode, other: MeshNode, timeout_s: float, what: str) -> float:
    """Waits until each pings the other. Returns for how long, in seconds."""
    began_at = time.monotonic()
    targets = [
        Target(one.name, other.wait_until_ready().mesh_ipv4),
        Target(other.name, one.wait_until_ready().mesh_ipv4),
    ]
    with Pinger([one.host, other.host]) as pinger:
        wait_for(lambda: len(pinger.ping(targets, 0.3)) == 2, timeout_s, what)
    return time.monotonic() - began_at


@pytest.mark.fault("Paths to peers", "a laptop comes into the LAN of its peer, and leaves it again")
def test_a_laptop_that_comes_into_the_lan_of_its_peer_and_leaves_it_again_is_connected_soon(
    scene: tuple[MeshNode, MeshNode, Fabric], observe: Observe
) -> None:
    laptop, home, fabric = scene
    wait_for_pings(laptop, home, PATIENCE_S, "they meet through the NAT")
    assert home.peers()[0].endpoint.host == str(laptop.host.ipv4)

    laptop.host.set_link(up=False)
    fabric.attach(laptop.host, "lan")
    into_s = wait_for_pings(laptop, home, promised(INTO_THE_LAN_S), "they ping each other on the LAN")
    at_home = {str(plug.ipv4.ip) for plug in home.host.attachments} | {
        str(plug.ipv6.ip) for plug in home.host.attachments
    }
    assert laptop.peers()[0].endpoint.host in at_home

    laptop.host.ip("link", "del", "eth1")
    laptop.host.set_link(up=True)
    laptop.host.ip("route", "replace", "default", "via", str(fabric.hosts["router"].attachments[1].ipv4.ip))
    out_s = wait_for_pings(laptop, home, promised(OUT_OF_IT_S), "they ping each other through the NAT again")
    observe(
        Observed(recovered_s=max(into_s, out_s), shown=f"connected after {into_s:.1f} s inside, {out_s:.1f} s outside")
    )
