from __future__ import annotations

import ipaddress

from wgmesh.core.model import Endpoint, Mapping, Sighting
from wgmesh.core.stun.events import AnswerRefused, MappingLearned, ServerSilent
from wgmesh.nat.observations import ObservationTable, Vantage

A = Endpoint.parse("44.128.1.1:3478")
B = Endpoint.parse("44.129.1.1:3478")
OUTSIDE = Endpoint.parse("44.130.0.9:40000")
LIE = Endpoint.parse("198.51.100.66:53")
LOCAL = frozenset({ipaddress.ip_address("192.168.1.2")})
OWN_PORT = Vantage(LOCAL, 51820, 51820)
PORT_BESIDE = Vantage(LOCAL, 33333, 51820)


def test_two_agreeing_servers_give_a_report_without_complaint() -> None:
    table = ObservationTable()
    table.handle(MappingLearned(A, OUTSIDE, 10.0))
    table.handle(MappingLearned(B, OUTSIDE, 11.0))

    report = table.report(OWN_PORT)

    assert (report.mapping, report.external_endpoint) == (Mapping.ENDPOINT_INDEPENDENT, OUTSIDE)
    assert (report.answered_at, report.detail, report.from_wireguard_port) == (11.0, "", True)


def test_beside_wireguards_port_the_report_assumes_that_the_port_is_kept_and_says_that_it_was_not_seen() -> None:
    table = ObservationTable()
    table.handle(MappingLearned(A, OUTSIDE, 10.0))

    report = table.report(PORT_BESIDE)

    assert report.external_endpoint == Endpoint(OUTSIDE.host, 51820)
    assert not report.from_wireguard_port


def test_a_silent_server_is_named_until_it_answers() -> None:
    table = ObservationTable()
    table.handle(MappingLearned(A, OUTSIDE, 10.0))
    table.handle(ServerSilent(B))

    before = table.report(OWN_PORT).detail
    table.handle(MappingLearned(B, OUTSIDE, 20.0))

    assert before == f"STUN: {B} does not answer."
    assert table.report(OWN_PORT).detail == ""


def test_a_refused_answer_is_explained() -> None:
    table = ObservationTable()
    table.handle(AnswerRefused(A, "it answered with an error"))

    assert table.report(OWN_PORT).detail == f"STUN: {A} is not believed: it answered with an error."


def test_without_a_route_the_servers_are_not_blamed() -> None:
    table = ObservationTable()
    table.handle(ServerSilent(A))

    assert table.report(Vantage(frozenset(), 51820, 51820)).detail == "STUN: this machine has no route to any server."


def test_names_without_an_address_are_listed() -> None:
    table = ObservationTable()
    table.set_unresolved(["stun.example.org:3478"])

    assert table.report(OWN_PORT).detail == "STUN: stun.example.org:3478 has no address."


def test_a_single_good_server_is_explained_as_not_enough() -> None:
    table = ObservationTable()
    table.retain([A])
    table.handle(MappingLearned(A, OUTSIDE, 10.0))

    assert "second one" in table.report(OWN_PORT).detail


def test_no_second_server_is_asked_for_while_one_may_still_answer() -> None:
    table = ObservationTable()
    table.retain([A, B])
    table.handle(MappingLearned(A, OUTSIDE, 10.0))

    assert table.report(OWN_PORT).detail == ""


def test_what_was_learned_about_servers_no_longer_asked_is_forgotten() -> None:
    table = ObservationTable()
    table.handle(MappingLearned(A, OUTSIDE, 10.0))
    table.handle(ServerSilent(B))

    table.retain([])

    assert table.report(OWN_PORT).external_endpoint is None
    assert table.report(OWN_PORT).detail == ""


def test_servers_that_disagree_are_named_with_what_each_says() -> None:
    table = ObservationTable()
    table.handle(MappingLearned(A, OUTSIDE, 10.0))
    table.handle(MappingLearned(B, LIE, 10.0))
    table.set_peers([Endpoint(OUTSIDE.host, 7)])

    report = table.report(OWN_PORT)

    assert report.external_endpoint is None
    assert report.sightings == (Sighting(OUTSIDE, (A,), 1), Sighting(LIE, (B,)))
    assert report.detail == f"STUN servers disagree: {A} says {OUTSIDE} (one peer sees us there), {B} says {LIE}."


def test_what_was_said_first_stays_first_no_matter_who_spoke_last() -> None:
    table = ObservationTable()
    for at in (10.0, 70.0):
        table.handle(MappingLearned(B, LIE if at > 10.0 else OUTSIDE, at))
        table.handle(MappingLearned(A, OUTSIDE, at + 5.0))

    assert [sighting.endpoint for sighting in table.report(OWN_PORT).sightings] == [OUTSIDE, LIE]


def test_beside_wireguards_port_servers_that_name_one_address_agree_whatever_port_they_see() -> None:
    table = ObservationTable()
    table.handle(MappingLearned(A, OUTSIDE, 10.0))
    table.handle(MappingLearned(B, Endpoint(OUTSIDE.host, 1), 10.0))

    report = table.report(PORT_BESIDE)

    assert report.external_endpoint == Endpoint(OUTSIDE.host, 51820)
    assert report.sightings == (Sighting(Endpoint(OUTSIDE.host, 51820), (A, B)),)


def test_beside_wireguards_port_a_lie_about_the_address_is_no_more_believed() -> None:
    table = ObservationTable()
    table.handle(MappingLearned(A, OUTSIDE, 10.0))
    table.handle(MappingLearned(B, LIE, 10.0))

    assert table.report(PORT_BESIDE).external_endpoint is None
