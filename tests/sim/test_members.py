"""Meshes over several sites: light members with the real discovery core, where no multicast reaches everybody."""

from __future__ import annotations

import pytest
from sim.large.member import SimMember
from sim.large.swarm import Swarm, SwarmSettings
from wgmesh.core.wire.announcement import DATAGRAM_BUDGET_BYTES

JOIN_GAP_S = 0.2
MINUTE_S = 60.0


def _swarm(count: int, settings: SwarmSettings) -> Swarm:
    swarm = Swarm(settings)
    for _ in range(count):
        swarm.join()
        swarm.run(JOIN_GAP_S)
    return swarm


def _settled(count: int = 9, seed: int = 1) -> Swarm:
    swarm = _swarm(count, SwarmSettings(seed=seed, members_a_segment=3))
    assert swarm.run_until_all_know_all(MINUTE_S) is not None
    swarm.run(10.0)
    assert swarm.all_reach_all()
    return swarm


def _knowing(swarm: Swarm, gone: SimMember) -> list[str]:
    return [name for name, member in swarm.members.items() if member.knows(gone.public_key)]


def test_twenty_members_without_multicast_find_each_other_by_one_static_peer() -> None:
    swarm = _swarm(20, SwarmSettings(seed=1, lan=False, has_dht=False, static_count=1))

    took_s = swarm.run_until_all_know_all(MINUTE_S)

    assert took_s is not None and took_s <= 15.0
    swarm.run(15.0)
    assert swarm.all_reach_all()


def test_twenty_members_without_multicast_find_each_other_by_the_dht() -> None:
    swarm = _swarm(20, SwarmSettings(seed=2, lan=False))

    took_s = swarm.run_until_all_know_all(MINUTE_S)

    assert took_s is not None and took_s <= 15.0
    swarm.run(15.0)
    assert swarm.all_reach_all()
    assert max(member.sent.largest for member in swarm.members.values()) <= DATAGRAM_BUDGET_BYTES


def test_who_is_killed_is_forgotten_after_a_while_and_stays_forgotten() -> None:
    swarm = _settled()
    gone = swarm.members["m5"]

    swarm.kill("m5")
    swarm.run(20 * MINUTE_S)

    assert _knowing(swarm, gone) == []
    assert swarm.all_know_all()


def test_who_leaves_in_order_is_gone_within_seconds_and_stays_gone() -> None:
    swarm = _settled()
    gone = swarm.members["m5"]

    swarm.leave("m5")
    swarm.run(5.0)

    assert _knowing(swarm, gone) == []
    for _ in range(17):  # longer than anybody remembers who has left
        swarm.run(MINUTE_S)
        assert _knowing(swarm, gone) == []


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("with_cache", [True, False])
def test_who_restarts_with_the_same_key_is_known_again_within_seconds(in_order: bool, with_cache: bool) -> None:
    swarm = _settled()

    (swarm.leave if in_order else swarm.kill)("m5")
    swarm.run(3.0)
    again = swarm.restart("m5", with_cache)
    took_s = swarm.run_until_all_know_all(MINUTE_S)

    assert took_s is not None and took_s <= 15.0
    swarm.run(30.0)
    assert len(again.links.connected) == 8


def test_who_moves_to_another_site_stays_reachable() -> None:
    swarm = _settled()

    swarm.move("m0")
    swarm.run(30.0)

    assert swarm.all_know_all() and swarm.all_reach_all()
    moved = swarm.members["m0"]
    address = moved.host.attachments[0].address.ip
    for member in swarm.members.values():
        record = member.table.get(moved.public_key)
        assert member is moved or (
            record is not None and address in {each.host for each in record.candidates.endpoints()}
        )


def test_two_halves_that_forgot_each_other_meet_again_after_a_partition() -> None:
    swarm = _settled()
    halves = (["m0", "m1", "m2", "m3"], ["m4", "m5", "m6", "m7", "m8"])

    swarm.partition(*halves)
    swarm.run(20 * MINUTE_S)
    assert len(swarm.members["m0"].links.connected) == 3
    swarm.heal()
    took_s = swarm.run_until_all_know_all(15 * MINUTE_S)

    assert took_s is not None
    swarm.run(30.0)
    assert swarm.all_reach_all()


def test_members_that_a_short_partition_kept_apart_are_still_members() -> None:
    swarm = _settled()

    swarm.partition(["m0", "m1", "m2"])
    swarm.run(2 * MINUTE_S)
    assert swarm.all_know_all()
    swarm.heal()
    swarm.run(2 * MINUTE_S)

    assert swarm.all_know_all() and swarm.all_reach_all()


@pytest.mark.parametrize("skew_s", [-300.0, 300.0])
def test_a_member_whose_clock_is_five_minutes_wrong_takes_part(skew_s: float) -> None:
    swarm = _settled()

    late = swarm.join(skew_s=skew_s)
    took_s = swarm.run_until_all_know_all(MINUTE_S)

    assert took_s is not None and took_s <= 20.0
    swarm.run(10.0)
    assert swarm.all_reach_all()
    swarm.leave(late.host.name)
    swarm.run(5.0)
    assert _knowing(swarm, late) == []
