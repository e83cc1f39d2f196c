"""Whom a node speaks to: every packet that leaves its machine, by where it goes."""

from __future__ import annotations

import ipaddress
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from support.lab.outsider import ETH_P_ALL, ETHERTYPE_IPV4, drained
from support.lab.swarm import INTERNET
from support.repository import ROOT
from support.waiting import PATIENCE_S
from wgmesh.core.model import IPAddress
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.pinger import socket_in
from wgmesh.demo.waiting import wait_for

PAGE = ROOT / "docs" / "reference" / "cli.md"
ETHERTYPE_IPV6 = 0x86DD
DNS_PORT = 53
# STUN and the DHT are asked in the first second, and asked again after silence. A node announces itself three times in
# that second, then every 5 s.
ANNOUNCEMENTS = 6
_NAMES = re.compile(r"[a-z0-9.-]+\.(?:com|org)\b")


@dataclass(frozen=True, slots=True)
class Sent:
    """One packet that left a machine."""

    destination: IPAddress
    payload: bytes
    """What follows the IP header."""

    @property
    def asked_name(self) -> str:
        """The name in a question to DNS; empty if it is none (RFC 1035, section 4.1)."""
        if len(self.payload) < 20 or struct.unpack_from("!H", self.payload, 2)[0] != DNS_PORT:
            return ""
        labels, at = [], 20
        while length := self.payload[at]:
            labels.append(self.payload[at + 1 : at + 1 + length].decode())
            at += 1 + length
        return ".".join(labels)


def sent_by(host: Host, frames: list[bytes]) -> Iterator[Sent]:
    own = {host.ipv4, host.ipv6}
    for frame in frames:
        kind, packet = struct.unpack_from("!H", frame, 12)[0], frame[14:]
        if kind == ETHERTYPE_IPV4:
            source, destination = (ipaddress.IPv4Address(packet[at : at + 4]) for at in (12, 16))
            if source in own:
                yield Sent(destination, packet[(packet[0] & 0x0F) * 4 :])
        elif kind == ETHERTYPE_IPV6:
            source6, destination6 = (ipaddress.IPv6Address(packet[at : at + 16]) for at in (8, 24))
            if source6 in own:
                yield Sent(destination6, packet[40:])


@pytest.fixture
def world(fabric: Fabric) -> Fabric:
    """A LAN behind a router, and an internet with machines that answer nothing."""
    fabric.add_lan(INTERNET, public=True)
    fabric.add_hosts(["names", "stun", "dht"], INTERNET)
    fabric.add_router("router", ["lan", INTERNET])
    return fabric


def watched(fabric: Fabric, *flags: str) -> tuple[list[Sent], set[IPAddress]]:
    """All that a node of a mesh of two sends to single machines off its own link, and where the other one is."""
    secret = new_secret()
    a, b = (MeshNode(host, secret, *flags) for host in fabric.add_hosts(["a", "b"]))
    with socket_in(a.host.namespace, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap:
        tap.bind((a.host.interface, 0))
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        tap.setblocking(False)
        for node in (a, b):
            node.host.write_resolver(f"nameserver {fabric.hosts['names'].ipv4}\n")
            node.start()
        wait_for_full_mesh([a, b])
        frames: list[bytes] = []
        wait_for(
            lambda: announcement_count(a.host, frames, tap) >= ANNOUNCEMENTS, PATIENCE_S, "a has lived for a while"
        )
    sent = [each for each in sent_by(a.host, frames) if not each.destination.is_multicast]
    return [each for each in sent if not each.destination.is_link_local], {b.host.ipv4, b.host.ipv6}


def announcement_count(host: Host, frames: list[bytes], tap: socket.socket) -> int:
    """How often a node has announced itself on its LAN. Adds to `frames` what has passed meanwhile."""
    frames += drained(tap)
    return sum(each.destination.is_multicast and b'"ANNOUNCE"' in each.payload for each in sent_by(host, frames))


def test_with_stun_and_the_dht_off_a_node_speaks_to_its_peers_and_to_nobody_else(world: Fabric) -> None:
    sent, peers = watched(world, "--no-stun", "--no-dht")

    assert {each.destination for each in sent} <= peers
    assert len(sent) > 10


def test_by_default_a_node_asks_beside_its_peers_for_the_names_of_the_reference_and_nobody_else(world: Fabric) -> None:
    sent, peers = watched(world)

    assert {each.destination for each in sent} - peers == {world.hosts["names"].ipv4}
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith(("| `--stun ", "| `--dht-bootstrap "))]
    assert {each.asked_name for each in sent if each.asked_name} == set(_NAMES.findall("\n".join(rows)))


def test_what_the_operator_names_instead_is_asked_and_nobody_else(world: Fabric) -> None:
    stun, dht = (world.hosts[name].ipv4 for name in ("stun", "dht"))

    sent, peers = watched(world, "--stun", f"{stun}:3478", "--dht-bootstrap", f"{dht}:6881")

    assert {each.destination for each in sent} - peers == {stun, dht}
