from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import Endpoint, IPAddress, Mapping, Sighting
from wgmesh.nat.classify import EVIDENCE_AGE_MAX_S, SAME_MOMENT_S, Classification, Observation, classify

LOCAL = frozenset({ipaddress.ip_address("192.168.1.2")})
PORT = 51820
A = Endpoint.parse("44.128.1.1:3478")
A_OTHER_PORT = Endpoint.parse("44.128.1.1:3479")
B = Endpoint.parse("44.129.1.1:3478")
OUTSIDE = Endpoint.parse("44.130.0.9:40000")
C = Endpoint.parse("44.131.1.1:3478")
D = Endpoint.parse("44.132.1.1:3478")
OUTSIDE_ELSEWHERE = Endpoint.parse("44.130.0.9:40001")
LIE = Endpoint.parse("198.51.100.66:53")


def verdict(observations: Sequence[Observation]) -> tuple[Mapping, Endpoint | None]:
    found = classify(LOCAL, PORT, observations)
    return found.mapping, found.external


def test_without_observations_nothing_is_known() -> None:
    assert classify(LOCAL, PORT, []) == Classification()


def test_two_witnesses_that_agree_show_an_endpoint_independent_mapping() -> None:
    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(B, OUTSIDE, 0.1)])

    assert found == Classification(Mapping.ENDPOINT_INDEPENDENT, OUTSIDE, (Sighting(OUTSIDE, (A, B)),))


def test_two_witnesses_that_differ_show_an_address_dependent_mapping() -> None:
    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(B, OUTSIDE_ELSEWHERE, 0.1)])

    assert (found.mapping, found.external) == (Mapping.ADDRESS_DEPENDENT, None)
    assert found.sightings == (Sighting(OUTSIDE, (A,)), Sighting(OUTSIDE_ELSEWHERE, (B,)))


def test_one_lying_server_of_two_displaces_nothing_and_is_not_believed() -> None:
    for observations in (
        [Observation(A, OUTSIDE, 0.0, since=0.0), Observation(B, LIE, 0.1, since=0.1)],
        [Observation(A, OUTSIDE, 60.0, since=0.0), Observation(B, LIE, 60.0, since=60.0)],
    ):
        found = classify(LOCAL, PORT, observations)

        assert (found.mapping, found.external) == (Mapping.UNKNOWN, None)
        assert found.sightings == (Sighting(OUTSIDE, (A,)), Sighting(LIE, (B,)))


def test_a_lying_server_that_alone_answered_last_does_not_win_for_that() -> None:
    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(B, LIE, 120.0, since=120.0)])

    assert found.external is None
    assert [sighting.endpoint for sighting in found.sightings] == [OUTSIDE, LIE]


def test_more_than_half_of_the_servers_are_believed_and_who_differs_is_kept() -> None:
    found = classify(
        LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(B, LIE, 0.0), Observation(C, OUTSIDE, 0.0)]
    )

    assert found == Classification(
        Mapping.ENDPOINT_INDEPENDENT, OUTSIDE, (Sighting(OUTSIDE, (A, C)), Sighting(LIE, (B,)))
    )


def test_a_server_with_two_ports_has_one_voice() -> None:
    found = classify(
        LOCAL, PORT, [Observation(A, LIE, 0.0), Observation(A_OTHER_PORT, LIE, 0.0), Observation(B, OUTSIDE, 0.0)]
    )

    assert found.external is None


def test_behind_no_nat_this_hosts_own_address_decides_between_two_servers() -> None:
    own = Endpoint.parse("192.168.1.2:51820")

    assert verdict([Observation(A, LIE, 0.0), Observation(B, own, 0.0)]) == (Mapping.NONE, own)


def test_peers_decide_where_servers_are_divided_and_one_lying_member_does_not() -> None:
    divided = [Observation(A, OUTSIDE, 0.0), Observation(B, LIE, 0.0)]

    def believed(honest: int, lying: int) -> Endpoint | None:
        return classify(LOCAL, PORT, divided, {OUTSIDE.host: honest, LIE.host: lying}).external

    assert [believed(0, 1), believed(1, 0), believed(1, 1), believed(2, 2)] == [None] * 4
    assert [believed(2, 0), believed(2, 1)] == [OUTSIDE] * 2


def test_peers_decide_only_where_most_of_them_agree() -> None:
    other = Endpoint.parse("198.51.100.77:53")
    divided = [Observation(A, OUTSIDE, 0.0), Observation(B, LIE, 0.0), Observation(C, other, 0.0)]

    def believed(count: int) -> Endpoint | None:
        return classify(LOCAL, PORT, divided, {OUTSIDE.host: count, LIE.host: 1, other.host: 1}).external

    assert (believed(2), believed(3)) == (None, OUTSIDE)


def test_what_peers_decide_for_has_its_own_servers_as_witnesses_and_not_those_of_the_others() -> None:
    observations = [
        Observation(A, LIE, 0.0),
        Observation(B, LIE, 0.0),
        Observation(C, OUTSIDE, 0.0),
        Observation(D, Endpoint.parse("198.51.100.77:53"), 0.0),
    ]

    found = classify(LOCAL, PORT, observations, {OUTSIDE.host: 3})

    assert (found.mapping, found.external) == (Mapping.UNKNOWN, OUTSIDE)


def test_sightings_are_told_by_servers_then_by_peers_then_by_age_then_by_their_text() -> None:
    first, second, third = (Endpoint.parse(f"198.51.100.{number}:1") for number in (3, 2, 1))

    def order(*observations: Observation, peers: dict[IPAddress, int] | None = None) -> list[Endpoint]:
        return [sighting.endpoint for sighting in classify(LOCAL, PORT, observations, peers).sightings]

    assert order(Observation(A, third, 0.0), Observation(B, first, 0.0), Observation(C, first, 0.0)) == [first, third]
    assert order(Observation(A, third, 0.0), Observation(B, first, 0.0), peers={first.host: 1}) == [first, third]
    assert order(Observation(A, third, 9.0, since=9.0), Observation(B, first, 9.0, since=1.0)) == [first, third]
    assert order(Observation(A, second, 0.0), Observation(B, third, 0.0)) == [third, second]
    assert order(
        Observation(A, third, 99.0, since=50.0),
        Observation(B, third, 99.0, since=50.0),
        Observation(C, first, 99.0, since=0.0),
        Observation(D, first, 99.0, since=99.0),
    ) == [first, third]


def test_two_against_two_of_one_moment_show_that_ports_differ_and_of_different_moments_nothing() -> None:
    def seen(later: float) -> Mapping:
        observations = [
            Observation(A, OUTSIDE, 0.0),
            Observation(B, OUTSIDE, 0.0),
            Observation(C, OUTSIDE_ELSEWHERE, later),
            Observation(D, OUTSIDE_ELSEWHERE, later),
        ]
        return classify(LOCAL, PORT, observations).mapping

    assert (seen(0.0), seen(100.0)) == (Mapping.ADDRESS_DEPENDENT, Mapping.UNKNOWN)


def test_an_address_that_only_peers_name_decides_nothing() -> None:
    divided = [Observation(A, OUTSIDE, 0.0), Observation(B, LIE, 0.0)]

    assert classify(LOCAL, PORT, divided, {ipaddress.ip_address("10.0.0.1"): 9}).external is None


def test_peers_do_not_decide_about_ports_since_they_see_another_one() -> None:
    found = classify(
        LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(B, OUTSIDE_ELSEWHERE, 0.0)], {OUTSIDE.host: 5}
    )

    assert (found.mapping, found.external) == (Mapping.ADDRESS_DEPENDENT, None)


def test_one_witness_gives_an_endpoint_but_no_verdict() -> None:
    assert verdict([Observation(A, OUTSIDE, 0.0)]) == (Mapping.UNKNOWN, OUTSIDE)


def test_two_ports_of_one_address_are_one_witness_when_they_agree() -> None:
    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(A_OTHER_PORT, OUTSIDE, 0.0)])

    assert found.mapping is Mapping.UNKNOWN


def test_two_ports_of_one_address_prove_dependence_when_they_differ() -> None:
    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(A_OTHER_PORT, OUTSIDE_ELSEWHERE, 0.0)])

    assert found.mapping is Mapping.ADDRESS_DEPENDENT


def test_the_local_address_and_port_seen_from_outside_mean_no_nat() -> None:
    seen = Endpoint.parse("192.168.1.2:51820")

    assert verdict([Observation(A, seen, 0.0)]) == (Mapping.NONE, seen)


def test_the_local_address_with_another_port_is_a_nat() -> None:
    seen = Endpoint.parse("192.168.1.2:1024")

    found = classify(LOCAL, PORT, [Observation(A, seen, 0.0), Observation(B, seen, 0.0)])

    assert found.mapping is Mapping.ENDPOINT_INDEPENDENT


def test_a_nat_that_keeps_the_port_is_a_nat() -> None:
    seen = Endpoint.parse(f"44.130.0.9:{PORT}")

    assert verdict([Observation(A, seen, 0.0)]) == (Mapping.UNKNOWN, seen)


def test_answers_count_as_of_one_moment_for_half_a_minute() -> None:
    found = classify(
        LOCAL, PORT, [Observation(A, OUTSIDE, 1000.0), Observation(B, OUTSIDE_ELSEWHERE, 1000.0 + SAME_MOMENT_S)]
    )

    assert found.mapping is Mapping.ADDRESS_DEPENDENT


def test_answers_of_different_moments_that_differ_prove_nothing() -> None:
    late = SAME_MOMENT_S + 1

    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(B, OUTSIDE_ELSEWHERE, late)])

    assert (found.mapping, found.external) == (Mapping.UNKNOWN, None)
    assert len(found.sightings) == 2


def test_answers_of_different_moments_that_agree_still_count() -> None:
    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(B, OUTSIDE, EVIDENCE_AGE_MAX_S)])

    assert found.mapping is Mapping.ENDPOINT_INDEPENDENT


def test_evidence_that_is_too_old_is_left_out() -> None:
    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(B, OUTSIDE, EVIDENCE_AGE_MAX_S + 1)])

    assert found.mapping is Mapping.UNKNOWN


def test_ipv4_decides_where_both_families_were_observed() -> None:
    seen = Endpoint.parse("[2a00::5]:51820")
    ipv6 = [Observation(Endpoint.parse(f"[2606:4700::{number}]:3478"), seen, 5.0) for number in (1, 2, 3)]

    assert verdict([*ipv6, Observation(A, OUTSIDE, 0.0), Observation(B, OUTSIDE, 0.0)]) == (
        Mapping.ENDPOINT_INDEPENDENT,
        OUTSIDE,
    )
    assert verdict([*ipv6, Observation(A, OUTSIDE, 0.0)]) == (Mapping.UNKNOWN, OUTSIDE)


def test_ipv6_decides_where_nothing_else_was_observed() -> None:
    seen = Endpoint.parse("[2a00::5]:40000")
    witnesses = (Endpoint.parse(f"[2606:4700::{number}]:3478") for number in (1, 2))

    found = verdict([Observation(each, seen, 0.0) for each in witnesses])

    assert found == (Mapping.ENDPOINT_INDEPENDENT, seen)


@given(
    st.permutations(
        [Observation(A, OUTSIDE, 1.0), Observation(B, OUTSIDE, 2.0), Observation(A_OTHER_PORT, OUTSIDE, 3.0)]
    )
)
def test_the_order_of_observations_does_not_matter(observations: list[Observation]) -> None:
    assert verdict(observations) == (Mapping.ENDPOINT_INDEPENDENT, OUTSIDE)
