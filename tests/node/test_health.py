"""Whether a node can do its work, judged from what it needs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from wgmesh.core.model import DiscoveryLayer, LayerState, PeerFailure, PublicKey
from wgmesh.node.health import STARTING_S, Ability, HealthMemory, Needs, judge_health

NOW = 1_000_000.0
STARTED_AT = NOW - 1000.0
ALL = {"wireguard": True, "discovery": True, "nat": True}
WELL = Needs(ALL, layers=(DiscoveryLayer("lan", LayerState.RUNNING), DiscoveryLayer("dht", LayerState.DISABLED)))


def test_a_node_that_has_all_it_needs_is_ok_with_or_without_peers() -> None:
    assert judge_health(WELL, STARTED_AT, NOW).ability is Ability.OK


@pytest.mark.parametrize(
    "needs",
    [
        pytest.param(replace(WELL, services=ALL | {"wireguard": False}), id="no wireguard process"),
        pytest.param(replace(WELL, turn_problem="the device is gone"), id="a turn that fails"),
        pytest.param(replace(WELL, device_problems=("the key is another",)), id="a device that cannot be looked at"),
        pytest.param(replace(WELL, has_picture=False), id="no turn at all"),
    ],
)
def test_a_node_that_cannot_look_after_its_tunnels_is_failing_and_says_why_and_what_to_do(needs: Needs) -> None:
    finding = judge_health(needs, STARTED_AT, NOW)

    assert finding.ability is Ability.FAILING
    assert finding.reason
    assert finding.advice


@pytest.mark.parametrize(
    "needs",
    [
        pytest.param(replace(WELL, services=ALL | {"discovery": False}), id="no discovery process"),
        pytest.param(replace(WELL, services=ALL | {"nat": False}), id="no nat process"),
        pytest.param(replace(WELL, discovery_problem="it has not answered in time"), id="discovery hangs"),
        pytest.param(replace(WELL, peer_failures=(PeerFailure(PublicKey(bytes(32)), "no"),)), id="a peer is refused"),
        pytest.param(replace(WELL, layers=(DiscoveryLayer("dht", LayerState.DEGRADED, "no route"),)), id="a layer"),
    ],
)
def test_what_keeps_no_tunnel_from_working_makes_the_node_degraded(needs: Needs) -> None:
    finding = judge_health(needs, STARTED_AT, NOW)

    assert finding.ability is Ability.DEGRADED
    assert finding.reason
    assert finding.advice


def test_a_lan_on_which_nobody_is_heard_is_no_illness() -> None:
    alone = replace(WELL, layers=(DiscoveryLayer("lan", LayerState.DEGRADED, "nothing heard"),))

    assert judge_health(alone, STARTED_AT, NOW).ability is Ability.OK


def test_the_device_is_told_before_everything_else() -> None:
    needs = replace(WELL, services=ALL | {"discovery": False, "nat": False}, device_problems=("the key is another",))

    assert judge_health(needs, STARTED_AT, NOW).reason == "the key is another"


def test_a_node_that_starts_is_no_failure_for_a_few_seconds() -> None:
    needs = Needs({}, has_picture=False)

    assert judge_health(needs, NOW, NOW + 1).ability is Ability.DEGRADED
    assert judge_health(needs, NOW, NOW + STARTING_S).ability is Ability.FAILING


def test_it_holds_since_it_began_whatever_the_reason_is_now() -> None:
    memory = HealthMemory(STARTED_AT)
    assert memory.judge(WELL, NOW, NOW).since == NOW

    first = memory.judge(replace(WELL, turn_problem="one"), NOW, NOW + 10)
    second = memory.judge(replace(WELL, turn_problem="two"), NOW, NOW + 20)
    healed = memory.judge(WELL, NOW + 30, NOW + 30)

    assert (first.since, second.since, healed.since) == (NOW + 10, NOW + 10, NOW + 30)
    assert (second.finding.reason, second.looked_at) == ("two", NOW)
