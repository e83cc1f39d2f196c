"""Random lives of a mesh with one dishonest member, against a model of who should be in it.

A failure prints the steps and a blob that repeats them (`@reproduce_failure`). WGMESH_MACHINE_EXAMPLES makes the search
longer: 1000 take about ten minutes. To make a failure shorter takes many minutes more, so it is done only where
WGMESH_MACHINE_SHRINK=1 asks for it.
"""

from __future__ import annotations

import ipaddress
import os
from itertools import combinations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sim.large.member import SimMember
from sim.large.swarm import Swarm, SwarmSettings
from wgmesh.core.model import Endpoint, Identity, PublicKey
from wgmesh.core.wire.announcement import DATAGRAM_BUDGET_BYTES
from wgmesh.discovery.bounds import Bounds
from wgmesh.node.composition import Composer, World

EXAMPLES = int(os.environ.get("WGMESH_MACHINE_EXAMPLES", "12"))
PHASES = {Phase.explicit, Phase.reuse, Phase.generate}
if os.environ.get("WGMESH_MACHINE_SHRINK") == "1":
    PHASES.add(Phase.shrink)
STEPS = 20
MEMBERS_MAX = 6
SUBNET = ipaddress.IPv4Network("10.99.0.0/27")  # so small that addresses clash
# Room for twelve members and little more, so that the liar can fill each memory.
BOUNDS = Bounds(
    peers=16,
    contacts=24,
    hosts=24,
    tombstones=8,
    senders=16,
    nonces=64,
    pair_keys=16,
    waiting_messages=8,
    hellos_in_flight=12,
)
CROWD = 80  # names, more than any of these memories holds
AGREEMENT_S = 0.002  # a WireGuard service that is asked over its socket
# The longest that a member waits: until silent peers that take its place are dropped (10 minutes), then a pause of an
# address that was silent for long (15 minutes), and some round trips.
HEALING_S = 1800.0
STEP_S = 5.0
GOODBYE_S = 10.0  # until everybody in reach has heard it
# Sessions die 180 s after the last packet, silent peers are dropped after 600 s; looks come with some slack.
SILENCE_S = 900.0

# A timeout inside an example would pass for a failure of it: so long does nothing take, also on a busy machine.
pytestmark = pytest.mark.timeout(600 + 10 * EXAMPLES)

choices = st.integers(0, 2**16)


class Mesh(RuleBasedStateMachine):
    """Members by name. The model: who runs, who has departed and when, who bans whom, and whether all can meet.

    `filled` are the memories that were seen at their bounds.
    """

    @initialize(seed=st.integers(0, 2**32), lan=st.booleans())
    def found(self, seed: int, lan: bool) -> None:
        self.swarm = Swarm(
            SwarmSettings(
                seed=seed,
                members_a_segment=2,
                lan=lan,
                mesh_subnet=SUBNET,
                bounds=BOUNDS,
                agreement_s=AGREEMENT_S,
            )
        )
        self.liar = self.swarm.add_liar()
        self.departed: dict[PublicKey, float] = {}
        self.bans: dict[str, set[PublicKey]] = {}
        self.is_cut = False
        self.filled: set[str] = set()
        for _ in range(3):
            self.swarm.join()
        self.swarm.run(10.0)

    # Honest lives

    @precondition(lambda self: len(self.swarm.members) < MEMBERS_MAX)
    @rule(skew_s=st.sampled_from([0.0, 0.0, 30.0, -30.0, 240.0, -240.0]))
    def join(self, skew_s: float) -> None:
        if len(self.swarm.members) + len(self.swarm.absent) < 2 * MEMBERS_MAX:
            self.swarm.join(skew_s=skew_s)

    @precondition(lambda self: len(self.swarm.members) > 2)
    @rule(choice=choices)
    def leave(self, choice: int) -> None:
        name = self._name(choice)
        self._departs(name)
        self.swarm.leave(name)
        self.swarm.run(GOODBYE_S)

    @precondition(lambda self: len(self.swarm.members) > 2)
    @rule(choice=choices)
    def kill(self, choice: int) -> None:
        name = self._name(choice)
        self._departs(name)
        self.swarm.kill(name)

    @precondition(lambda self: self.swarm.absent and len(self.swarm.members) < MEMBERS_MAX)
    @rule(choice=choices, with_cache=st.booleans())
    def restart(self, choice: int, with_cache: bool) -> None:
        name = sorted(self.swarm.absent)[choice % len(self.swarm.absent)]
        member = self.swarm.restart(name, with_cache)
        self.departed.pop(member.public_key, None)
        member.core.set_banned(self.bans.get(name, set()), member.now)
        member.moved()  # drains what the core has to say

    @rule(choice=choices)
    def move(self, choice: int) -> None:
        self.swarm.move(self._name(choice))

    @rule(side=st.sets(st.integers(0, 2 * MEMBERS_MAX), min_size=1, max_size=MEMBERS_MAX))
    def partition(self, side: set[int]) -> None:
        self.swarm.partition([f"m{number}" for number in side])
        self.is_cut = True

    @precondition(lambda self: self.is_cut)
    @rule()
    def heal(self) -> None:
        self.swarm.heal()
        self.is_cut = False

    @rule(by=choices, whom=choices)
    def ban(self, by: int, whom: int) -> None:
        member, other = self._member(by), self._member(whom)
        if member is not other:
            self.bans.setdefault(member.host.name, set()).add(other.public_key)
            member.core.set_banned(self.bans[member.host.name], member.now)
            member.moved()

    @precondition(lambda self: any(self.bans.get(name) for name in self.swarm.members))
    @rule(choice=choices)
    def unban(self, choice: int) -> None:
        names = sorted(name for name in self.swarm.members if self.bans.get(name))
        member = self.swarm.members[names[choice % len(names)]]
        key = min(self.bans[member.host.name])
        self.bans[member.host.name].remove(key)
        member.core.set_banned(self.bans[member.host.name], member.now)
        member.moved()

    @rule(seconds=st.sampled_from([0.5, 5.0, 60.0, 200.0, 700.0, 1000.0]))
    def wait(self, seconds: float) -> None:
        self.swarm.run(seconds)

    # Lies

    @rule(to=choices, about=choices, with_source=st.booleans())
    def lie_about_where_somebody_is(self, to: int, about: int, with_source: bool) -> None:
        victim = self._anybody(about)
        source = self._exchange(victim) if with_source else None
        self.liar.say_hello(self._exchange(self._member(to)), victim.public_key, source=source)
        self.swarm.run(1.0)

    @rule(to=choices, about=choices, with_source=st.booleans())
    def forge_a_goodbye(self, to: int, about: int, with_source: bool) -> None:
        victim, hearer = self._member(about), self._member(to)
        expected = hearer.knows(victim.public_key)
        is_connected = hearer.links.is_connected(victim.public_key)
        source = self._exchange(victim) if with_source else None
        self.liar.say_goodbye(self._exchange(hearer), victim.public_key, source)
        self.swarm.run(4.0)
        if not self.is_cut and is_connected and victim.links.is_connected(hearer.public_key):
            assert hearer.knows(victim.public_key) == expected, "a GOODBYE without proof removed a connected member"

    @rule(to=choices, about=choices, invented_count=st.integers(0, 10))
    def lie_about_whom_it_knows(self, to: int, about: int, invented_count: int) -> None:
        victim = self._anybody(about)
        known = [self.liar.invented() for _ in range(invented_count)]
        known.append(self.liar.misplaced(victim.public_key, victim.addresses.ipv4))
        self.liar.say_hello(self._exchange(self._member(to)), known_peers=known)
        self.swarm.run(1.0)

    @rule(to=choices, count=st.sampled_from([1, CROWD // 4, CROWD]), leaves=st.booleans())
    def crowd(self, to: int, count: int, leaves: bool) -> None:
        """Fills memories."""
        hearer = self._exchange(self._member(to))
        crowd = []
        for _ in range(count):
            crowd += self.liar.crowd(hearer, 1)
            self.every_table_is_bounded()
        self.swarm.run(1.0)
        for key, source in crowd if leaves else ():
            self.liar.say_goodbye(hearer, key, source)
        self.swarm.run(1.0)

    @rule(to=choices, what=choices, with_source=st.booleans())
    def replay(self, to: int, what: int, with_source: bool) -> None:
        self.liar.replay(self._exchange(self._member(to)), what, with_source)
        self.swarm.run(0.5)

    @rule(about=choices)
    def claim_somebodys_mesh_address(self, about: int) -> None:
        victim = self._member(about)
        for member in tuple(self.swarm.members.values()):
            self.liar.say_hello(self._exchange(member), mesh_ipv4=victim.addresses.ipv4)
        self.swarm.run(1.0)

    # What holds at every step

    @invariant()
    def nobody_knows_whom_he_bans(self) -> None:
        for name, keys in self.bans.items():
            if name in self.swarm.members:
                assert not any(self.swarm.members[name].knows(key) for key in keys)

    @invariant()
    def nobody_is_connected_to_the_departed(self) -> None:
        """There the dead do not live: hearsay may name them for a while, a tunnel or a word of their own may not."""
        now = self.swarm.scheduler.now
        for key, departed_at in self.departed.items():
            for name, member in self.swarm.members.items():
                record = member.table.get(key)
                if now - departed_at > SILENCE_S:
                    assert not member.links.is_connected(key), f"{name} has a tunnel to the dead"
                    has_proof = record is not None and record.possession_at is not None
                    assert record is None or not (has_proof and record.is_verified), f"{name} takes the dead for alive"

    @invariant()
    def every_table_is_bounded(self) -> None:
        for member in self.swarm.members.values():
            for memory, (count, bound) in member.core.occupancy().items():
                assert count <= bound, f"{memory}: {count} of {bound}"
                if count == bound:
                    self.filled.add(memory)
            assert member.sent.largest <= DATAGRAM_BUDGET_BYTES

    @invariant()
    def no_address_belongs_to_two_peers(self) -> None:
        for member in self.swarm.members.values():
            identity = Identity(member.public_key, member.addresses.ipv4, member.addresses.ipv6)
            world = World(identity, None, member.core.snapshot())
            composer = Composer(member.node_settings(), member.public_key)
            peers = composer.compose(world, member.now).device.peers
            allowed = [network for peer in peers for network in peer.allowed_ips]
            assert not any(one.overlaps(other) for one, other in combinations(allowed, 2))

    def teardown(self) -> None:
        """In the end all is connected again, and must come to rest: views, tunnels and addresses."""
        if not hasattr(self, "swarm"):
            return
        self.swarm.heal()
        began_at = self.swarm.scheduler.now
        while missing := self._missing():
            waited_s = self.swarm.scheduler.now - began_at
            assert waited_s < HEALING_S, f"after {waited_s:.0f} s: " + "; ".join(missing[:10])
            self.swarm.run(STEP_S)

    def _missing(self) -> list[str]:
        """What is not yet as it should be."""
        members = self.swarm.members
        missing = [
            f"{one} and {other} have one address"
            for one, other in combinations(members, 2)
            if members[one].addresses.ipv4 == members[other].addresses.ipv4 and not self._is_banned(one, other)
        ]
        for one, other in combinations(members, 2):
            if self._is_banned(one, other):
                continue
            for member, peer in ((members[one], members[other]), (members[other], members[one])):
                record = member.table.get(peer.public_key)
                if record is None or not record.is_verified:
                    missing.append(f"{member.host.name} does not know {peer.host.name}")
                elif not member.links.is_connected(peer.public_key):
                    missing.append(f"{member.host.name} has no tunnel to {peer.host.name}")
                elif record.facts.mesh_ipv4 != peer.addresses.ipv4:
                    missing.append(f"{member.host.name} has another address of {peer.host.name}")
        return missing

    def _is_banned(self, one: str, other: str) -> bool:
        """Whether one of the two wants nothing to do with the other: then not even its claim to an address."""
        keys = self.swarm.members[one].public_key, self.swarm.members[other].public_key
        return keys[1] in self.bans.get(one, ()) or keys[0] in self.bans.get(other, ())

    # Choices

    def _departs(self, name: str) -> None:
        self.departed[self.swarm.members[name].public_key] = self.swarm.scheduler.now

    def _name(self, choice: int) -> str:
        return sorted(self.swarm.members)[choice % len(self.swarm.members)]

    def _member(self, choice: int) -> SimMember:
        return self.swarm.members[self._name(choice)]

    def _anybody(self, choice: int) -> SimMember:
        """Somebody who is or was a member."""
        everybody = self.swarm.members | self.swarm.absent
        return everybody[sorted(everybody)[choice % len(everybody)]]

    def _exchange(self, member: SimMember) -> Endpoint:
        return Endpoint(member.host.attachments[0].address.ip, member.keys.gossip_port)


Mesh.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    phases=PHASES,
    derandomize=False,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
TestMesh = Mesh.TestCase


def test_the_machine_reaches_every_bound_that_it_checks() -> None:
    mesh = Mesh()
    mesh.found(seed=1, lan=True)
    for leaves in (True, False):
        mesh.crowd(to=0, count=CROWD, leaves=leaves)
        mesh.every_table_is_bounded()
    kept_for_members = {"tombstones", "senders"}  # tests/sim/test_bounds.py
    assert mesh.filled >= mesh.swarm.members["m0"].core.occupancy().keys() - kept_for_members
