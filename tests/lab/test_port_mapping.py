"""A node behind a NAT that lets nobody in has its router forward its ports, and is reached through them."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

import pytest
from support.doubles.stun_responder import honest, responding
from support.lab.home_router import NAT_PMP, PCP, UPNP, HomeRouter
from support.lab.meshes import CONNECTED
from support.lab.nat_lab import background
from support.lab.outsider import ETH_P_ALL, drained
from support.lab.swarm import INTERNET
from support.waiting import PATIENCE_S
from wgmesh.cli import exits
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret
from wgmesh.demo.pinger import socket_in
from wgmesh.demo.waiting import wait_for

VICTIM = "44.150.0.66"  # where a lying router wants our peers to call
MADE = "port mapping made"
REFUSALS = 3  # so often it was called in vain, and each time it would have been reached


class Scene:
    """A node at home, and one outside that knows nothing of it but its router's address."""

    def __init__(self, fabric: Fabric) -> None:
        self.router = HomeRouter(fabric)
        self.servers = fabric.add_hosts(["stun1", "stun2"], INTERNET)
        stun = [f"--stun={server.ipv4}:3478" for server in self.servers]
        secret = new_secret()
        self.home = MeshNode(fabric.add_host("home"), secret, "--no-dht", *stun)
        outside = fabric.add_host("outside", INTERNET)
        self.outside = MeshNode(outside, secret, "--no-dht", "--no-stun", "--peer", self.router.outside)
        # What leaves home for there gets out only as an answer, so all that connects the two came in by a mapping.
        self.router.host.nft(
            "table inet oneway {\nchain through { type filter hook forward priority -1; policy accept;"
            f' iifname "eth0" ip daddr {outside.ipv4} ct state new drop; }}\n}}\n'
        )

    def mapping(self) -> dict[str, object]:
        """What the node at home says of port mapping."""
        said: dict[str, object] = json.loads(self.home.cli("status", "--json").stdout)["nat"]["port_mapping"]
        return said

    def held(self) -> dict[str, object] | None:
        said = self.mapping()
        return said if said["protocol"] else None

    def mapped(self) -> dict[str, object] | None:
        said = self.mapping()
        return said if said["confirmed"] else None

    def leave(self) -> None:
        assert self.home.cli("down").returncode == exits.OK


@pytest.fixture
def scene(fabric: Fabric) -> Iterator[Scene]:
    made = Scene(fabric)
    with serving(made.servers[0]), serving(made.servers[1]):
        yield made


def test_a_node_is_reached_from_outside_through_its_mapping_names_it_and_takes_it_back(scene: Scene) -> None:
    scene.router.serve(PCP)
    scene.outside.start()
    scene.home.start("--no-port-mapping")
    wait_for(lambda: scene.router.refused_count() >= REFUSALS, PATIENCE_S, "the node outside calls in vain")
    assert scene.outside.peers() == []
    assert "Port mapping: off" in scene.home.cli("status").stdout
    assert scene.router.forwarded() == set()
    scene.leave()

    scene.home.start()

    wait_for(lambda: [peer.state for peer in scene.outside.peers()] == [CONNECTED], PATIENCE_S, "they are connected")
    status = scene.home.wait_until_ready()
    ports = {status.listen_port, status.exchange_port}
    assert scene.router.forwarded() == ports
    assert (
        f"Port mapping: PCP {scene.router.outside}:{status.listen_port}, renewed in" in scene.home.cli("status").stdout
    )
    assert "224.0.0.1:5350" in scene.home.host.exec("ss", "-Hlun")  # where the router says that it has started again
    [peer] = scene.outside.peers()
    assert (peer.endpoint.host, peer.endpoint.port) == (scene.router.outside, status.listen_port)
    scene.leave()
    assert scene.router.forwarded() == set()


@pytest.mark.parametrize("protocol", [NAT_PMP, UPNP])
def test_a_router_that_speaks_an_older_protocol_is_asked_by_that(scene: Scene, protocol: str) -> None:
    scene.router.serve(protocol)

    scene.home.start()
    scene.home.wait_until_ready()

    said = wait_for(scene.mapped, PATIENCE_S, "the mapping is there")
    status = scene.home.wait_until_ready()
    assert said["protocol"] == protocol
    assert said["external_endpoint"] == f"{scene.router.outside}:{status.listen_port}"
    assert said["exchange_endpoint"] == f"{scene.router.outside}:{status.exchange_port}"
    assert scene.router.forwarded() == {status.listen_port, status.exchange_port}
    scene.leave()
    assert scene.router.forwarded() == set()


def test_a_nat_process_that_was_killed_asks_with_the_nonces_of_its_earlier_life(scene: Scene) -> None:
    """A router may refuse to renew a mapping to somebody with another nonce (RFC 6887, section 11.3)."""
    scene.router.serve(PCP)
    with socket_in(scene.home.host.namespace, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap:
        tap.setblocking(False)
        node = scene.home.start()
        wait_for(lambda: node.output().count(MADE) == 1, PATIENCE_S, "the mapping is there")
        before = list(nonces(drained(tap)))
        ports = scene.router.forwarded()
        scene.home.kill_service("nat")
        wait_for(lambda: node.output().count(MADE) == 2, PATIENCE_S, "it is there again")
        after = list(nonces(drained(tap)))

    assert {port for port, _ in before} == ports
    assert set(after) == set(before)
    assert len(set(after)) == len(ports)
    assert scene.router.forwarded() == ports
    scene.leave()
    assert scene.router.forwarded() == set()


def test_where_stun_sees_another_address_than_the_router_names_the_mapping_is_shown_as_unconfirmed(
    scene: Scene,
) -> None:
    scene.router.serve(PCP, claimed=VICTIM)

    scene.home.start()
    scene.home.wait_until_ready()

    said = wait_for(scene.held, PATIENCE_S, "the router has answered")
    port = scene.home.wait_until_ready().listen_port
    assert (said["confirmed"], said["external_endpoint"]) == (False, f"{VICTIM}:{port}")
    text = scene.home.cli("status").stdout
    assert f"Port mapping: PCP {VICTIM}:{port}, unconfirmed: STUN does not see this host at {VICTIM}, renewed" in text


def nonces(frames: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The internal port and the nonce of each MAP of PCP that was sent (RFC 6887, figures 2 and 9)."""
    for frame in frames:
        packet = frame[14:]
        if frame[12:14] == b"\x08\x00" and packet[9] == socket.IPPROTO_UDP:
            segment = packet[(packet[0] & 15) * 4 :]
            if int.from_bytes(segment[2:4], "big") == 5351 and segment[8:10] == b"\x02\x01":
                yield int.from_bytes(segment[48:50], "big"), segment[32:44]


@contextmanager
def serving(host: Host) -> Iterator[None]:
    async def serve() -> AsyncIterator[None]:
        async with responding([(str(host.ipv4), 3478)], honest):
            yield

    with background(host.namespace, serve):
        yield
