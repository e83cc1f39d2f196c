"""A whole simulated mesh: builds it, lets time pass, says what every node sees."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint
from wgmesh.sim.chance import Chance
from wgmesh.sim.network import Attachment, LinkQuality, Network, Segment
from wgmesh.sim.node import SimNode, SimSettings
from wgmesh.sim.scheduler import Scheduler

START_AT = 1_800_000_000.0  # an arbitrary moment; nothing reads a real clock
STEP_S = 0.1  # how often convergence is looked at
START_GAP_S = 0.05  # between the starts of two nodes, as machines never start at once
DEMO_LIMIT_S = 60.0
LAN_NETWORK = ipaddress.IPv4Network("192.168.0.0/16")


@dataclass(frozen=True, slots=True)
class Row:
    """One node at one moment. `rtt_s` is the median over its peers, `handshake_age_s` the age of the oldest."""

    node: str
    mesh_ipv4: str
    reached_count: int
    peer_count: int
    paths: tuple[str, ...]
    handshake_age_s: float | None
    rtt_s: float | None


class SimWorld:
    """Nodes, the network between them, and the time they live in."""

    def __init__(self, seed: int) -> None:
        self.scheduler = Scheduler(START_AT)
        self._chance = Chance(seed)
        self.network = Network(self.scheduler, self._chance.fork())
        self.nodes: dict[str, SimNode] = {}
        self._addresses: dict[str, Iterator[ipaddress.IPv4Address]] = {}

    @property
    def elapsed_s(self) -> float:
        return self.scheduler.now - START_AT

    def new_secret(self) -> Secret:
        return Secret.generate(self._chance.random_bytes)

    def new_private_key(self) -> PrivateKey:
        return PrivateKey(self._chance.random_bytes(32))

    def add_segment(
        self, name: str, network: ipaddress.IPv4Network = LAN_NETWORK, quality: LinkQuality | None = None
    ) -> LanSegment:
        return LanSegment(Segment(name, quality or LinkQuality()), network, network.hosts())

    def add_node(
        self,
        name: str,
        segment: LanSegment,
        secret: Secret,
        *,
        private_key: PrivateKey | None = None,
        mesh_subnet: ipaddress.IPv4Network | None = None,
        mesh_ipv4: ipaddress.IPv4Address | None = None,
        static_peers: tuple[Endpoint, ...] = (),
    ) -> SimNode:
        """Puts a new machine with a node on a segment. The node still has to be started."""
        host = self.network.add_host(name, segment.attach())
        settings = SimSettings(
            secret,
            private_key or self.new_private_key(),
            mesh_subnet=mesh_subnet,
            mesh_ipv4=mesh_ipv4,
            static_peers=static_peers,
        )
        node = self.nodes[name] = SimNode(self.scheduler, self.network, host, settings, self._chance.fork())
        return node

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        self.scheduler.run_until(self.scheduler.now + seconds)

    def run_until_converged(self, limit_s: float) -> float | None:
        """Lets time pass until every node reaches all others. Returns the seconds it took, None at the limit."""
        began_at = self.scheduler.now
        while not self.is_converged():
            if self.scheduler.now - began_at >= limit_s:
                return None
            self.run(STEP_S)
        return self.scheduler.now - began_at

    def is_converged(self) -> bool:
        """Whether every node of each mesh pings all others of it through the tunnel."""
        return all(node.answering_peers >= self._expected(node) for node in self.nodes.values())

    def rows(self) -> list[Row]:
        return [self._row(name, node) for name, node in self.nodes.items()]

    def remove(self, node: SimNode) -> None:
        """Forgets a node that has left or was killed: nobody is expected to reach it."""
        self.nodes = {name: each for name, each in self.nodes.items() if each is not node}

    def _expected(self, node: SimNode) -> frozenset[object]:
        return frozenset(
            other.public_key
            for other in self.nodes.values()
            if other is not node and other.keys.network_id == node.keys.network_id
        )

    def _row(self, name: str, node: SimNode) -> Row:
        expected = self._expected(node)
        return Row(
            node=name,
            mesh_ipv4=str(node.mesh_ipv4 or ""),
            reached_count=len(expected & node.answering_peers),
            peer_count=len(expected),
            paths=node.path_words,
            handshake_age_s=node.oldest_handshake_age_s,
            rtt_s=node.median_rtt_s,
        )


@dataclass(slots=True)
class LanSegment:
    """A segment that gives every machine the next address of its network."""

    segment: Segment
    network: ipaddress.IPv4Network
    free: Iterator[ipaddress.IPv4Address]

    def attach(self) -> Attachment:
        address = ipaddress.IPv4Interface((next(self.free), self.network.prefixlen))
        return Attachment("eth0", self.segment, address)


def simulate(nodes: int, seed: int) -> Iterator[tuple[float, list[Row]]]:
    """Simulates one mesh of `nodes` machines on a LAN.

    Yields the elapsed virtual seconds and one row a node, every 0.1 s until all reach all, or for 60 s at most.
    """
    world = SimWorld(seed)
    segment, secret = world.add_segment("lan"), world.new_secret()
    for number in range(1, nodes + 1):
        node = world.add_node(f"node{number}", segment, secret)
        world.scheduler.call_later((number - 1) * START_GAP_S, node.start)
    while world.elapsed_s < DEMO_LIMIT_S:
        world.run(STEP_S)
        yield world.elapsed_s, world.rows()
        if world.is_converged():
            return
