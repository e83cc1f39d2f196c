"""A mesh of up to a thousand light members, on many routed segments, that come, go, move and lose each other."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sim.large.dht import SimDht
from sim.large.liar import Liar
from sim.large.member import MemberSettings, SimMember
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.discovery.bounds import Bounds
from wgmesh.sim.chance import Chance
from wgmesh.sim.network import LinkQuality, Network, Segment
from wgmesh.sim.scheduler import Scheduler
from wgmesh.sim.world import START_AT, LanSegment

MEMBERS_A_SEGMENT = 10  # a site: its members hear each other's multicast, and nobody else's
SITES = ipaddress.IPv4Network("198.18.0.0/15")  # kept free for such measurements (RFC 2544)
WIDE_AREA = LinkQuality(delay_s=0.015, jitter_s=0.005)  # of one site's uplink: 60 to 80 ms there and back
STEP_S = 0.25  # how often convergence is looked at


@dataclass(frozen=True, slots=True)
class SwarmSettings:
    """The world that the members live in."""

    seed: int = 1
    quality: LinkQuality = WIDE_AREA
    members_a_segment: int = MEMBERS_A_SEGMENT
    has_dht: bool = True
    lan: bool = True
    mesh_subnet: ipaddress.IPv4Network | None = None
    static_count: int = 0
    """Of how many earlier members a new one is told the addresses; with a DHT none need be."""
    bounds: Bounds | None = None
    """How much each memory of a member may hold; None as in a real one."""
    agreement_s: float = 0.0
    """How long a member's WireGuard service takes to agree keys with peers."""


class Swarm:
    """The members, the network between them, and the time they live in."""

    def __init__(self, settings: SwarmSettings | None = None) -> None:
        self.settings = settings or SwarmSettings()
        chance = self._chance = Chance(self.settings.seed)
        self.scheduler = Scheduler(START_AT)
        self.network = Network(self.scheduler, chance.fork())
        self.dht = SimDht(self.scheduler, chance.fork()) if self.settings.has_dht else None
        self.secret = Secret.generate(chance.random_bytes)
        self.members: dict[str, SimMember] = {}
        """Who runs."""
        self.absent: dict[str, SimMember] = {}
        """Who has left or was killed: the last life."""
        self._sites: list[LanSegment] = []
        self._networks = SITES.subnets(new_prefix=24)
        self._plugged_in = 0

    @property
    def elapsed_s(self) -> float:
        return self.scheduler.now - START_AT

    def new_key(self) -> PublicKey:
        return PrivateKey(self._chance.random_bytes(32)).public_key

    # Who comes and goes

    def join(self, key: PublicKey | None = None, skew_s: float = 0.0) -> SimMember:
        """Puts a new machine with a new member into the world and starts it."""
        name = f"m{len(self.members) + len(self.absent)}"
        settings = MemberSettings(
            self.secret,
            key or self.new_key(),
            self.settings.mesh_subnet,
            self._static_peers(),
            self.settings.lan,
            skew_s,
            bounds=self.settings.bounds,
            agreement_s=self.settings.agreement_s,
        )
        host = self.network.add_host(name, self._site().attach())
        return self._start(SimMember(self.scheduler, self.network, host, settings, self._chance.fork(), self.dht))

    def add_liar(self) -> Liar:
        """Puts a dishonest member into the world, at a site of its own."""
        segment = self._new_site()
        host = self.network.add_host("liar", segment.attach())
        return Liar(self.scheduler, self.network, host, self.secret, self.new_key(), self._chance.fork())

    def leave(self, name: str) -> None:
        """Lets a member leave in order."""
        self.members[name].leave()
        self.absent[name] = self.members.pop(name)

    def kill(self, name: str) -> None:
        """Switches a machine off."""
        self.members[name].kill()
        self.absent[name] = self.members.pop(name)

    def restart(self, name: str, with_cache: bool = True, skew_s: float | None = None) -> SimMember:
        """Starts a member again that has left or was killed: the same key, and what its cache file says."""
        last = self.absent.pop(name)
        cache = tuple(last.core.cached_peers(last.now)) if with_cache else ()
        settings = replace(last.settings, cache=cache, skew_s=last.settings.skew_s if skew_s is None else skew_s)
        return self._start(SimMember(self.scheduler, self.network, last.host, settings, self._chance.fork(), self.dht))

    def move(self, name: str) -> None:
        """Carries a machine to another site, where it gets another address."""
        member = self.members[name]
        self.network.move_host(member.host, self._site().attach())
        member.moved()

    def partition(self, *groups: Iterable[str]) -> None:
        self.network.partition(*groups)

    def heal(self) -> None:
        self.network.heal()

    # Time, and what is seen

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        self.scheduler.run_until(self.scheduler.now + seconds)

    def run_until_all_know_all(self, limit_s: float) -> float | None:
        """Lets time pass until every member knows all others. Returns the seconds it took, None at the limit."""
        began_at = self.scheduler.now
        while not self.all_know_all():
            if self.scheduler.now - began_at >= limit_s:
                return None
            self.run(STEP_S)
        return self.scheduler.now - began_at

    def all_know_all(self) -> bool:
        keys = [member.public_key for member in self.members.values()]
        return all(
            len(member.table) >= len(keys) - 1 and all(key in member.table for key in keys if key != member.public_key)
            for member in self.members.values()
        )

    def all_reach_all(self) -> bool:
        """Whether there is a tunnel between any two members."""
        return all(len(member.links.connected) >= len(self.members) - 1 for member in self.members.values())

    def knowledge(self) -> float:
        """Which part of what all should know of each other is known, 0..1."""
        keys = [member.public_key for member in self.members.values()]
        pairs = len(keys) * (len(keys) - 1)
        return sum(key in member.table for member in self.members.values() for key in keys) / pairs if pairs else 1.0

    def _start(self, member: SimMember) -> SimMember:
        self.members[member.host.name] = member
        member.start()
        return member

    def _static_peers(self) -> tuple[Endpoint, ...]:
        earlier = list(self.members.values())[: self.settings.static_count]
        return tuple(Endpoint(each.host.attachments[0].address.ip, each.keys.gossip_port) for each in earlier)

    def _site(self) -> LanSegment:
        """The site of the next machine: filled one after the other."""
        if self._plugged_in >= self.settings.members_a_segment * len(self._sites):
            self._sites.append(self._new_site())
        self._plugged_in += 1
        return self._sites[-1]

    def _new_site(self) -> LanSegment:
        network = next(self._networks)
        return LanSegment(Segment(str(network), self.settings.quality), network, network.hosts())
