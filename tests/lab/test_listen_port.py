"""Which port WireGuard gets when a node starts again."""

from __future__ import annotations

from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret


def port_of_a_run(node: MeshNode, *flags: str) -> int:
    node.start(*flags)
    port = node.wait_until_ready().listen_port
    node.running_process().stop()
    return port


def test_a_port_that_is_asked_for_comes_before_that_of_an_earlier_run(fabric: Fabric) -> None:
    a = MeshNode(fabric.add_host("a"), new_secret(), "--no-stun", "--no-dht")

    ports = [
        port_of_a_run(a, *flags)
        for flags in ((), ("--listen-port", "51810"), ("--listen-port", "51790"), (), ("--listen-port", "51820"))
    ]

    # 51810 and 51790 could each have led to the port of before, which is among the hundred that follow them
    assert ports == [51820, 51810, 51790, 51820, 51820]
