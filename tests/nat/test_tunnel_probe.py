from __future__ import annotations

import ipaddress
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import Candidate, CandidateSource, Endpoint, Peer, PublicKey, SelfDescription
from wgmesh.nat.tunnel_probe import (
    IN_FLIGHT_MAX,
    NOT_ASKED_GAP_S,
    PROBE_GAP_S,
    PROBE_PACE_S,
    RETRY_GAP_MAX_S,
    ProbeSchedule,
    ProbeTarget,
    targets,
)

OWN = SelfDescription(
    PublicKey(bytes(32)), ipaddress.IPv4Address("10.1.0.1"), ipaddress.IPv6Address("fd00::1"), wireguard_port=51820
)


def key(number: int) -> PublicKey:
    return PublicKey(number.to_bytes(32, "big"))


def target(number: int, *, is_proven: bool = False) -> ProbeTarget:
    route = (ipaddress.ip_address("10.1.0.1"), ipaddress.IPv4Address("10.2.0.0") + number)
    return ProbeTarget(key(number), (route,), is_proven)


def schedule() -> ProbeSchedule:
    return ProbeSchedule(lambda: 0.5)  # no jitter


def test_mesh_ipv6_is_tried_before_ipv4() -> None:
    peer = Peer(key(1), ipaddress.IPv4Address("10.1.0.2"), ipaddress.IPv6Address("fd00::2"))

    (found,) = targets(OWN, [peer], ipv6=True)

    assert [str(theirs) for _, theirs in found.routes] == ["fd00::2", "10.1.0.2"]
    assert [str(ours) for ours, _ in found.routes] == ["fd00::1", "10.1.0.1"]


def test_without_ipv6_or_for_a_peer_without_it_only_ipv4_is_tried() -> None:
    with_ipv6 = Peer(key(1), ipaddress.IPv4Address("10.1.0.2"), ipaddress.IPv6Address("fd00::2"))
    without = Peer(key(2), ipaddress.IPv4Address("10.1.0.3"))

    assert [len(found.routes) for found in targets(OWN, [with_ipv6], ipv6=False)] == [1]
    assert [len(found.routes) for found in targets(OWN, [without], ipv6=True)] == [1]


def test_nobody_probes_itself_or_an_address_that_is_its_own() -> None:
    itself = Peer(OWN.public_key, ipaddress.IPv4Address("10.1.0.1"))
    colliding = Peer(key(1), OWN.mesh_ipv4)

    assert [found.routes for found in targets(OWN, [itself, colliding], ipv6=True)] == [()]


def test_before_the_own_description_is_known_nobody_is_probed() -> None:
    assert targets(None, [Peer(key(1), ipaddress.IPv4Address("10.1.0.2"))], ipv6=True) == ()


def test_a_candidate_that_wireguard_reached_makes_a_peer_proven() -> None:
    candidate = Candidate(Endpoint.parse("192.0.2.1:51820"), CandidateSource.LAN, 1.0)
    peer = Peer(key(1), ipaddress.IPv4Address("10.1.0.2"), candidates=(candidate,))
    proven = replace(peer, candidates=(replace(candidate, proven_at=2.0),))

    assert [found.is_proven for found in targets(OWN, [peer, proven], ipv6=True)] == [False, True]


def test_a_new_peer_is_probed_at_once_and_then_every_gap() -> None:
    probes = schedule()
    probes.set_targets([target(1)], now=5.0)

    assert probes.take_due(5.0) == [target(1)]
    probes.answered(key(1), 5.1)

    assert probes.take_due(5.1 + PROBE_GAP_S - 0.01) == []
    assert probes.next_due_at() == 5.1 + PROBE_GAP_S
    assert probes.take_due(5.1 + PROBE_GAP_S) == [target(1)]


def test_in_a_large_mesh_everybody_has_a_turn_at_one_pace_for_all() -> None:
    probes = schedule()
    probes.set_targets([target(number) for number in range(1, 50)], now=0.0)
    while taken := probes.take_due(0.0):
        for each in taken:
            probes.answered(each.public_key, 0.0)

    assert probes.take_due(49 * PROBE_PACE_S - 0.01) == []
    assert len(probes.take_due(49 * PROBE_PACE_S)) == IN_FLIGHT_MAX


def test_failures_back_off_to_the_limit_and_an_answer_ends_it() -> None:
    probes = schedule()
    probes.set_targets([target(1)], now=0.0)
    now, gaps = 0.0, []
    for _ in range(10):
        probes.take_due(now)
        probes.unanswered(key(1), now)
        due_at = probes.next_due_at()
        assert due_at is not None
        gaps.append(due_at - now)
        now = due_at

    assert gaps == [0.25, 0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    probes.take_due(now)
    probes.answered(key(1), now)
    assert probes.next_due_at() == now + PROBE_GAP_S


def test_a_peer_that_becomes_proven_is_probed_at_once() -> None:
    probes = schedule()
    probes.set_targets([target(1)], now=0.0)
    probes.take_due(0.0)
    probes.unanswered(key(1), 0.0)

    probes.set_targets([target(1, is_proven=True)], now=0.2)

    assert probes.take_due(0.2) == [target(1, is_proven=True)]


def test_a_peer_that_becomes_proven_while_its_probe_is_under_way_is_probed_again_right_after() -> None:
    probes = schedule()
    probes.set_targets([target(1)], now=0.0)
    probes.take_due(0.0)

    probes.set_targets([target(1, is_proven=True)], now=0.2)
    assert probes.take_due(0.2) == []
    assert probes.outdated() == [key(1)]
    probes.unanswered(key(1), 2.4)
    assert probes.outdated() == []

    assert probes.take_due(2.4) == [target(1, is_proven=True)]


def test_a_snapshot_that_changes_nothing_starts_no_probe() -> None:
    probes = schedule()
    probes.set_targets([target(1, is_proven=True)], now=0.0)
    probes.take_due(0.0)
    probes.answered(key(1), 0.0)

    probes.set_targets([target(1, is_proven=True)], now=1.0)

    assert probes.take_due(1.0) == []


def test_a_probe_that_could_not_be_sent_is_repeated_soon_and_counts_for_nothing() -> None:
    probes = schedule()
    probes.set_targets([target(1)], now=0.0)
    for now in (0.0, 1.0, 2.0):
        assert probes.take_due(now) == [target(1)]
        probes.not_asked(key(1), now)
        assert probes.next_due_at() == now + NOT_ASKED_GAP_S


def test_no_more_probes_are_under_way_than_the_limit_and_nobody_is_forgotten() -> None:
    probes = schedule()
    many = [target(number) for number in range(1, 100)]
    probes.set_targets(many, now=0.0)
    seen: list[ProbeTarget] = []
    while batch := probes.take_due(0.0):
        assert len(batch) <= IN_FLIGHT_MAX
        assert len(batch) < IN_FLIGHT_MAX or probes.next_due_at() is None
        seen += batch
        for each in batch:
            probes.answered(each.public_key, 0.0)

    assert sorted(each.public_key for each in seen) == sorted(each.public_key for each in many)


@given(st.lists(st.tuples(st.sampled_from(["take", "answer", "fail", "drop", "prove"]), st.floats(0, 70)), max_size=60))
def test_whatever_happens_a_known_peer_is_due_again_within_the_longest_gap(steps: list[tuple[str, float]]) -> None:
    probes = schedule()
    now, in_flight = 0.0, 0
    probes.set_targets([target(1)], now)
    for step, gap in steps:
        now += gap
        match step:
            case "take":
                in_flight += len(probes.take_due(now))
            case "answer" | "fail" if in_flight:
                in_flight -= 1
                (probes.answered if step == "answer" else probes.unanswered)(key(1), now)
            case "drop":
                probes.set_targets([], now)
                probes.set_targets([target(1)], now)
            case "prove":
                probes.set_targets([target(1, is_proven=True)], now)
    for _ in range(in_flight):
        probes.unanswered(key(1), now)

    due_at = probes.next_due_at()

    assert due_at is not None
    assert due_at <= now + RETRY_GAP_MAX_S
    assert probes.take_due(due_at)
