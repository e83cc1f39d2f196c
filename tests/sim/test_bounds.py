"""What one dishonest member can fill: each memory up to its bound, no further, and not for long."""

from __future__ import annotations

import dataclasses

import pytest
from sim.large.member import SimMember
from sim.large.swarm import Swarm, SwarmSettings
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.discovery.bounds import Bounds

# Room for the members below, and little more.
SMALL = Bounds(
    peers=12,
    contacts=16,
    tombstones=6,
    senders=12,
    nonces=40,
    pair_keys=10,
    waiting_messages=4,
    hellos_in_flight=8,
    hosts=20,
)
CROWD = 60  # names, more than any of these memories holds
FORGOTTEN_S = 1800.0  # silent peers go after 600 s, addresses that do not answer are asked again within 900 s


class Occupation:
    """A mesh of three with small memories, a liar, and how full each memory of the first member has been."""

    def __init__(self) -> None:
        # A WireGuard process that restarts answers late, so that messages wait for the keys.
        self.swarm = Swarm(SwarmSettings(seed=5, members_a_segment=2, bounds=SMALL, agreement_s=0.5))
        self.liar = self.swarm.add_liar()
        for _ in range(3):
            self.swarm.join()
        self.swarm.run(10.0)
        self.victim = self.swarm.members["m0"]
        self.peaks: dict[str, int] = {}

    def fill(self) -> None:
        """Says all there is to say in the names of a crowd, and looks after each word."""
        crowd: list[tuple[PublicKey, Endpoint]] = []
        for _ in range(CROWD):
            crowd += self.liar.crowd(exchange(self.victim), 1)
            self._look()
        self._run(2.0)
        for key, source in crowd:
            self.liar.say_goodbye(exchange(self.victim), key, source)
            self._look()
        self._run(2.0)

    def names(self) -> set[PublicKey]:
        """Who is a member."""
        return {member.public_key for member in self.swarm.members.values()}

    def _run(self, seconds: float) -> None:
        for _ in range(int(20 * seconds)):
            self.swarm.run(0.05)
            self._look()

    def _look(self) -> None:
        for memory, (count, _) in self.victim.core.occupancy().items():
            self.peaks[memory] = max(self.peaks.get(memory, 0), count)


@pytest.fixture
def occupation() -> Occupation:
    return Occupation()


def exchange(member: SimMember) -> Endpoint:
    return Endpoint(member.host.attachments[0].address.ip, member.keys.gossip_port)


def test_a_crowd_fills_each_memory_to_its_bound_and_no_further(occupation: Occupation) -> None:
    occupation.fill()
    occupation.fill()  # some are filled only by what came before
    bounds = {memory: bound for memory, (_, bound) in occupation.victim.core.occupancy().items()}
    kept_for_members = {"tombstones", "senders"}  # invented names leave no stone, and have half of the stamps
    assert {**occupation.peaks, **{memory: bounds[memory] for memory in kept_for_members}} == bounds
    assert occupation.peaks["tombstones"] == 0 and occupation.peaks["senders"] <= SMALL.senders // 2 + 2
    assert sorted(bounds.values()) == sorted(dataclasses.astuple(SMALL))


def test_a_full_member_keeps_its_tunnels_and_knows_its_mesh_alone_in_the_end(occupation: Occupation) -> None:
    """Also the member that joins, and the one that moves, while all is full."""
    swarm, victim = occupation.swarm, occupation.victim
    others = occupation.names() - {victim.public_key}
    occupation.fill()
    occupation.liar.crowd(exchange(victim), CROWD)
    assert victim.core.occupancy()["peers"] == (SMALL.peers, SMALL.peers)
    assert victim.links.connected >= others
    swarm.join()
    swarm.move("m1")
    swarm.run(FORGOTTEN_S)
    assert swarm.all_know_all() and swarm.all_reach_all()
    assert {record.key for record in victim.table.records()} == occupation.names() - {victim.public_key}


def test_what_is_said_in_the_names_of_members_fills_no_memory_for_long(occupation: Occupation) -> None:
    """Their tunnels work, so nobody is asked at the places that a liar names for them."""
    victim = occupation.victim
    for key in occupation.names() - {victim.public_key}:
        for _ in range(CROWD):
            occupation.liar.say_hello(exchange(victim), key, source=occupation.liar.nowhere())
    assert victim.core.occupancy()["contacts"][0] == 0
    occupation.swarm.run(FORGOTTEN_S)
    assert victim.core.occupancy()["contacts"][0] == 0
    assert occupation.swarm.all_reach_all()
