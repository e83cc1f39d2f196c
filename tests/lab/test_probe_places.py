"""A member inside the tunnel that holds every connection it can to the TCP probe server of another node."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator

import pytest
from support.lab.meshes import StartMesh
from support.waiting import PATIENCE_S
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.demo.nodes import MeshNode
from wgmesh.demo.pinger import socket_in
from wgmesh.nat.io.probe_server import PLACES_MAX, PLACES_OF_SOURCE_MAX

PING, PONG = b"ping\n", b"pong\n"


@pytest.fixture(autouse=True)
def enough_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connection(source: MeshNode, to: MeshNode) -> socket.socket:
    """As a Go node connects: from its own mesh address, through the tunnel."""
    made = socket_in(source.host.namespace, socket.AF_INET, socket.SOCK_STREAM)
    made.settimeout(PATIENCE_S)
    made.bind((source.wait_until_ready().mesh_ipv4, 0))
    made.connect(
        (to.wait_until_ready().mesh_ipv4, derive(Secret(to.secret_file.read_text().strip())).gossip_port + 2000)
    )
    return made


def is_answered(made: socket.socket) -> bool:
    try:
        made.sendall(PING)
        return made.recv(len(PONG), socket.MSG_WAITALL) == PONG
    except ConnectionError:
        return False


@pytest.mark.attack("a member", "hold all places of the TCP probe server")
def test_a_member_that_holds_all_places_of_the_probe_server_cuts_nobody_off(start_mesh: StartMesh) -> None:
    a, insider, go_node = start_mesh("a b c", "--no-stun", "--no-dht")
    kept = connection(go_node, a)
    assert is_answered(kept)

    held = []
    for _ in range(PLACES_MAX + 10):
        held.append(connection(insider, a))
        is_answered(held[-1])

    assert is_answered(kept)
    newcomer = connection(go_node, a)
    assert is_answered(newcomer)
    assert sum(is_answered(each) for each in held) == PLACES_OF_SOURCE_MAX
    for each in (kept, newcomer, *held):
        each.close()
