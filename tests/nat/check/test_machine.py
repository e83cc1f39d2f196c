"""The check against NATs of every kind and servers of every kind, in virtual time."""

from __future__ import annotations

import ipaddress
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nat_scene import CLIENT6, PORTS, WAN, Nat, Outcome, Server, check
from wgmesh.core.model import Endpoint
from wgmesh.nat.check.findings import CheckFinished, Finding
from wgmesh.nat.check.machine import CHECK_S, NetworkCheck, Scene
from wgmesh.nat.check.questions import DATAGRAMS_MAX

A = Server(Endpoint.parse("44.128.1.1:3478"))
B = Server(Endpoint.parse("44.129.1.1:3478"))
C = Server(Endpoint.parse("44.140.1.1:3478"))
A2 = replace(A, second=Endpoint.parse("44.128.1.2:3479"))
B2 = replace(B, second=Endpoint.parse("44.129.1.2:3479"))
SIX = Server(Endpoint.parse("[2600:1::1]:3478"))
VICTIM = Endpoint.parse("44.150.0.66:53")

MAPPINGS = {"EIM": "endpoint-independent", "ADM": "address-dependent", "APDM": "address-and-port-dependent"}
FILTERINGS = {"EIF": "endpoint-independent", "ADF": "address-dependent", "APDF": "address-and-port-dependent"}


def values(outcome: Outcome) -> dict[str, str]:
    return {subject: finding.value for subject, finding in outcome.findings.items()}


@pytest.mark.parametrize(
    ("mapping", "ports"),
    [(each, ports) for each in MAPPINGS for ports in ("random", 1, -2)] + [("EIM", "preserving")],
)
@pytest.mark.parametrize("filtering", FILTERINGS)
def test_two_servers_with_second_addresses_tell_every_behaviour(mapping: str, filtering: str, ports: str | int) -> None:
    outcome = check(Nat(mapping, filtering, ports), A2, B2)

    found = values(outcome)
    assert found["udp"] == "answered"
    assert found["mapping"] == MAPPINGS[mapping]
    assert found["filtering"] == FILTERINGS[filtering]
    assert found["ports"] == (ports if isinstance(ports, str) else "sequential")
    assert outcome.findings["ports"].port_step == (ports if isinstance(ports, int) else None)
    assert found["hairpin"] == "blocked"


def test_without_nat_nothing_is_translated_and_no_hairpin_is_needed() -> None:
    outcome = check(Nat(filtering="EIF", is_absent=True), A2, B2)

    found = values(outcome)
    assert (found["mapping"], found["ports"], found["hairpin"]) == ("none", "preserving", "not-needed")
    assert outcome.findings["mapping"].external == Endpoint(WAN, 51820)


def test_servers_without_a_second_address_leave_filtering_unknown_and_say_why() -> None:
    outcome = check(Nat(), A, B)

    filtering = outcome.findings["filtering"]
    assert (filtering.value, filtering.evidence) == ("unknown", ())
    assert "RFC 5780" in filtering.detail


def test_whether_the_destinations_port_counts_is_not_guessed_where_no_server_has_two_ports() -> None:
    mapping = check(Nat("APDM", ports="random"), A, B).findings["mapping"]

    assert mapping.value == "address-dependent"
    assert "no server with two ports tells" in mapping.detail


def test_whether_the_destinations_port_counts_is_not_believed_of_one_host_alone() -> None:
    mapping = check(Nat("APDM", ports="random"), A2, B).findings["mapping"]

    assert mapping.value == "address-dependent"
    assert f"one server alone decides nothing: {A.at} says the port counts too" in mapping.detail


def test_two_servers_on_one_host_count_as_its_two_ports_and_as_one_witness() -> None:
    at_two_ports = [replace(each, at=Endpoint(each.at.host, port)) for each in (A, B) for port in (3478, 3500)]

    outcome = check(Nat("APDM", ports="random"), *at_two_ports)
    alone = check(Nat("APDM", ports="random"), *at_two_ports[:2])

    assert values(outcome)["mapping"] == "address-and-port-dependent"
    assert [values(alone)[each] for each in ("mapping", "ports", "hairpin")] == ["unknown"] * 3
    assert "alone" in alone.findings["mapping"].detail


def test_a_hairpin_that_works_is_found() -> None:
    assert values(check(Nat(hairpin=True), A, B))["hairpin"] == "works"


@pytest.mark.parametrize("servers", [(A,), (A2,), (A, replace(B, is_silent=True))])
def test_what_one_server_says_alone_decides_nothing(servers: tuple[Server, ...]) -> None:
    outcome = check(Nat("EIM", "APDF", 1), *servers)

    found = values(outcome)
    assert found["udp"] == "answered"
    assert [found[each] for each in ("mapping", "ports", "filtering", "hairpin")] == ["unknown"] * 4
    assert "one server alone decides nothing" in outcome.findings["ports"].detail
    assert str(A.at) in outcome.findings["ports"].detail


def test_a_datagram_that_came_in_from_a_stranger_proves_itself_also_with_one_server() -> None:
    assert values(check(Nat(filtering="EIF"), A2, B))["filtering"] == "endpoint-independent"


@pytest.mark.attack("a server that a node asks", "name a victim's address so that a check sends datagrams to it")
@pytest.mark.parametrize("honest", [(), (B,), (B2,)])
def test_an_address_that_one_server_invents_gets_no_datagram(honest: tuple[Server, ...]) -> None:
    outcome = check(Nat(), replace(A, lie=lambda seen: VICTIM), *honest)

    assert VICTIM.host not in {to.host for _, to, _ in outcome.sent}
    assert values(outcome)["mapping"] == "unknown"
    if honest:
        assert "servers disagree" in outcome.findings["mapping"].detail
        assert f"{A.at} says {VICTIM}" in outcome.findings["mapping"].detail


def test_a_second_address_that_a_server_invents_gets_fewer_bytes_than_the_server_sent() -> None:
    liar = replace(A, second=VICTIM, is_second_alive=False)

    outcome = check(Nat(), liar, B)

    to_victim = [data for _, to, data in outcome.sent if to.host == VICTIM.host]
    assert 0 < len(to_victim) <= 3
    assert sum(map(len, to_victim)) <= 60
    assert values(outcome)["filtering"] == "unknown"


@pytest.mark.parametrize(
    "second", ["127.0.0.1:3479", "10.0.0.1:3479", "224.0.0.1:3479", "44.128.1.1:3479", "0.0.0.0:9"]
)
def test_a_second_address_that_cannot_be_one_is_not_asked(second: str) -> None:
    liar = replace(A, second=Endpoint.parse(second), is_second_alive=False)

    outcome = check(Nat(), liar, B)

    assert {to for _, to, _ in outcome.sent} <= {A.at, B.at, Endpoint(WAN, outcome.sent[-1][1].port)}


def test_one_liar_of_three_is_outvoted() -> None:
    outcome = check(Nat(ports=1), replace(A, lie=lambda seen: Endpoint(WAN, 65535 - seen.port)), B, C)

    assert values(outcome)["mapping"] == "endpoint-independent"
    assert (values(outcome)["ports"], outcome.findings["ports"].port_step) == ("sequential", 1)


def test_servers_that_differ_about_ports_are_named_with_what_each_says() -> None:
    outcome = check(Nat(ports=1), replace(A, lie=lambda seen: Endpoint(WAN, seen.port * 7919 % 50000 + 1024)), B)

    ports = outcome.findings["ports"]
    assert ports.value == "unknown"
    assert f"{A.at} says random" in ports.detail
    assert f"{B.at} says sequential by 1" in ports.detail


def test_silence_is_no_filter_where_the_second_address_is_dead() -> None:
    outcome = check(Nat(), replace(A2, is_second_alive=False), replace(B2, is_second_alive=False))

    assert values(outcome)["filtering"] == "unknown"


def test_a_server_that_answers_from_where_it_was_asked_proves_nothing_about_the_filter() -> None:
    outcome = check(Nat(filtering="EIF"), replace(A2, obeys_change=False), replace(B2, obeys_change=False))

    assert values(outcome)["filtering"] == "unknown"
    assert "it answers from where it was asked" in outcome.findings["filtering"].evidence[0].note


def test_where_nothing_answers_udp_is_silent_and_everything_else_unknown() -> None:
    outcome = check(Nat(), replace(A, is_silent=True), replace(B, is_silent=True))

    found = values(outcome)
    assert found["udp"] == "silent"
    assert {str(each.server): each.note for each in outcome.findings["udp"].evidence} == {
        str(A.at): "does not answer",
        str(B.at): "does not answer",
    }
    assert [found[each] for each in ("mapping", "ports", "filtering", "hairpin")] == ["unknown"] * 4


def test_servers_that_answer_with_errors_are_not_called_silent() -> None:
    assert values(check(Nat(), replace(A, error=True), replace(B, error=True)))["udp"] == "refused"


def test_without_servers_the_check_ends_at_once_and_says_why() -> None:
    outcome = check(Nat())

    assert (values(outcome)["udp"], outcome.finished_at, outcome.sent) == ("unresolved", 0.0, [])


@pytest.mark.parametrize(
    ("address", "servers", "expected"),
    [
        (None, (A,), "no-address"),
        (CLIENT6.host, (A,), "not-asked"),
        (CLIENT6.host, (A, SIX), "answered"),
        (CLIENT6.host, (A, replace(SIX, is_silent=True)), "silent"),
    ],
)
def test_ipv6_is_told_by_its_address_and_by_whether_a_server_answers(
    address: ipaddress.IPv6Address | None, servers: tuple[Server, ...], expected: str
) -> None:
    assert values(check(Nat(), *servers, global_ipv6=address))["ipv6"] == expected


def test_foreign_flows_do_not_hide_a_sequential_nat() -> None:
    ports = check(Nat("APDM", ports=1, foreign_flows=5), A, B).findings["ports"]

    assert (ports.value, ports.port_step) == ("sequential", 6)


def test_beside_wireguards_port_no_outside_endpoint_is_claimed_and_it_is_said() -> None:
    mapping = check(Nat(), A, B, is_wireguard_port=False).findings["mapping"]

    assert (mapping.value, mapping.external) == ("endpoint-independent", None)
    assert "CAP_NET_RAW" in mapping.detail


def test_a_check_that_would_need_more_datagrams_stops_and_leaves_unknown_what_it_could_not_ask() -> None:
    dead = [replace(SIX, at=Endpoint.parse(f"[2600:1::{n}]:3478"), is_silent=True) for n in (1, 2)]
    dead += [replace(C, at=Endpoint.parse("44.141.1.1:3478"), is_silent=True)]

    outcome = check(Nat(), A2, B2, C, *dead)

    assert len(outcome.sent) == DATAGRAMS_MAX
    assert values(outcome)["mapping"] == "endpoint-independent"
    assert values(outcome)["filtering"] == "unknown"


def test_a_check_whose_machine_was_busy_ends_at_its_time_all_the_same() -> None:
    machine = NetworkCheck(Scene((A.at, B.at), PORTS, frozenset({WAN})), random.Random(1).randbytes, 0.0)
    machine.handle_timeout(0.0)
    while machine.poll_event() is not None:
        pass

    machine.handle_timeout(CHECK_S)

    told = list(iter(machine.poll_event, None))
    assert told[-1] == CheckFinished()
    assert machine.poll_timeout() is None
    assert [each.value for each in told if isinstance(each, Finding) and each.subject == "udp"] == ["unknown"]


servers_of_any_kind = st.builds(
    lambda base, is_second, second_alive, silent, obeys, error, lie: replace(
        base,
        second=base.second if is_second else None,
        is_second_alive=second_alive,
        is_silent=silent,
        obeys_change=obeys,
        error=error,
        lie=(lambda seen: VICTIM) if lie else (lambda seen: seen),
    ),
    st.sampled_from([A2, B2]),
    *[st.booleans()] * 6,
)


@given(
    mapping=st.sampled_from(sorted(MAPPINGS)),
    filtering=st.sampled_from(sorted(FILTERINGS)),
    ports=st.sampled_from(["preserving", "random", 1]),
    servers=st.lists(servers_of_any_kind, max_size=2, unique_by=lambda server: server.at),
    loss=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None)
def test_whatever_is_lost_or_said_the_check_ends_in_time_within_its_datagrams_and_tells_all_once(
    mapping: str, filtering: str, ports: str | int, servers: list[Server], loss: float, seed: int
) -> None:
    chance = random.Random(seed)

    outcome = check(Nat(mapping, filtering, ports), *servers, C, SIX, loses=lambda number: chance.random() < loss)

    assert 0 <= outcome.finished_at <= CHECK_S
    assert len(outcome.sent) <= DATAGRAMS_MAX
    assert sorted(outcome.findings) == ["filtering", "hairpin", "ipv6", "mapping", "ports", "udp"]


@given(
    mapping=st.sampled_from(sorted(MAPPINGS)),
    filtering=st.sampled_from(sorted(FILTERINGS)),
    ports=st.sampled_from(["random", 1]),
    loss=st.floats(0, 0.4),
    seed=st.integers(0, 2**32),
)
@settings(deadline=None)
def test_with_honest_servers_loss_makes_things_unknown_and_never_wrong(
    mapping: str, filtering: str, ports: str | int, loss: float, seed: int
) -> None:
    chance = random.Random(seed)

    outcome = check(Nat(mapping, filtering, ports), A2, B2, loses=lambda number: chance.random() < loss)

    found = values(outcome)
    assert found["mapping"] in {MAPPINGS[mapping], "unknown", "address-dependent" if mapping == "APDM" else "unknown"}
    assert found["ports"] in {ports if isinstance(ports, str) else "sequential", "unknown"}
