"""A STUN server that tells every node it sees it at a third machine's address, beside an honest one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from support.doubles.stun_responder import Answer, honest, lying, responding
from support.lab.nat_lab import background
from support.waiting import PATIENCE_S
from wgmesh.core.model import Endpoint
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for


def test_a_node_says_who_disagrees_keeps_what_the_honest_server_says_and_the_mesh_forms(fabric: Fabric) -> None:
    a_host, b_host, truth, lie, victim = fabric.add_hosts(["a", "b", "truth", "lie", "victim"])
    claimed = Endpoint.of(str(victim.ipv4), 53)
    secret = new_secret()
    servers = [f"{host.ipv4}:3478" for host in (lie, truth)]
    a, b = (
        MeshNode(host, secret, "--no-dht", *(f"--stun={server}" for server in servers)) for host in (a_host, b_host)
    )
    with serving(truth, honest), serving(lie, lying(claimed)):
        for node in (a, b):
            node.start()
        wait_for_full_mesh([a, b])

        def divided() -> dict[str, object] | None:
            nat: dict[str, object] = json.loads(a.cli("status", "--json").stdout)["nat"]
            return nat if len(nat["sightings"]) > 1 else None  # type: ignore[arg-type]

        nat = wait_for(divided, PATIENCE_S, "both servers have answered")
        port = a.wait_until_ready().listen_port
        text = a.cli("status").stdout

    own = f"{a_host.ipv4}:{port}"
    assert f"{servers[0]} says {claimed}" in text
    assert nat["external_endpoint"] == own  # its own address, seen from outside: no NAT is there
    assert nat["mapping"] == "none"


@contextmanager
def serving(host: Host, answer: Answer) -> Iterator[None]:
    async def serve() -> AsyncIterator[None]:
        async with responding([(str(host.ipv4), 3478)], answer):
            yield

    with background(host.namespace, serve):
        yield
