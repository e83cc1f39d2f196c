from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import Endpoint, Mapping
from wgmesh.nat.classify import EVIDENCE_AGE_MAX_S, SAME_MOMENT_S, Classification, Observation, classify

LOCAL = frozenset({ipaddress.ip_address("192.168.1.2")})
PORT = 51820
A = Endpoint.parse("44.128.1.1:3478")
A_OTHER_PORT = Endpoint.parse("44.128.1.1:3479")
B = Endpoint.parse("44.129.1.1:3478")
OUTSIDE = Endpoint.parse("44.130.0.9:40000")
OUTSIDE_ELSEWHERE = Endpoint.parse("44.130.0.9:40001")


def test_without_observations_nothing_is_known() -> None:
    assert classify(LOCAL, PORT, []) == Classification()


def test_two_witnesses_that_agree_show_an_endpoint_independent_mapping() -> None:
    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(B, OUTSIDE, 0.1)])

    assert found == Classification(Mapping.ENDPOINT_INDEPENDENT, OUTSIDE)


def test_two_witnesses_that_differ_show_an_address_dependent_mapping() -> None:
    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(B, OUTSIDE_ELSEWHERE, 0.1)])

    assert found == Classification(Mapping.ADDRESS_DEPENDENT, OUTSIDE_ELSEWHERE)


def test_one_witness_gives_an_endpoint_but_no_verdict() -> None:
    assert classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0)]) == Classification(Mapping.UNKNOWN, OUTSIDE)


def test_two_ports_of_one_address_are_one_witness_when_they_agree() -> None:
    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(A_OTHER_PORT, OUTSIDE, 0.0)])

    assert found.mapping is Mapping.UNKNOWN


def test_two_ports_of_one_address_prove_dependence_when_they_differ() -> None:
    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(A_OTHER_PORT, OUTSIDE_ELSEWHERE, 0.0)])

    assert found.mapping is Mapping.ADDRESS_DEPENDENT


def test_the_local_address_and_port_seen_from_outside_mean_no_nat() -> None:
    seen = Endpoint.parse("192.168.1.2:51820")

    assert classify(LOCAL, PORT, [Observation(A, seen, 0.0)]) == Classification(Mapping.NONE, seen)


def test_the_local_address_with_another_port_is_a_nat() -> None:
    seen = Endpoint.parse("192.168.1.2:1024")

    found = classify(LOCAL, PORT, [Observation(A, seen, 0.0), Observation(B, seen, 0.0)])

    assert found.mapping is Mapping.ENDPOINT_INDEPENDENT


def test_answers_of_different_moments_that_differ_prove_nothing() -> None:
    late = SAME_MOMENT_S + 1

    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(B, OUTSIDE_ELSEWHERE, late)])

    assert found == Classification(Mapping.UNKNOWN, OUTSIDE_ELSEWHERE)


def test_answers_of_different_moments_that_agree_still_count() -> None:
    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(B, OUTSIDE, EVIDENCE_AGE_MAX_S)])

    assert found.mapping is Mapping.ENDPOINT_INDEPENDENT


def test_evidence_that_is_too_old_is_left_out() -> None:
    found = classify(LOCAL, PORT, [Observation(A, OUTSIDE, 0.0), Observation(B, OUTSIDE, EVIDENCE_AGE_MAX_S + 1)])

    assert found.mapping is Mapping.UNKNOWN


def test_ipv4_decides_where_both_families_were_observed() -> None:
    ipv6 = Observation(Endpoint.parse("[2606:4700::1]:3478"), Endpoint.parse("[2a00::5]:51820"), 5.0)

    found = classify(LOCAL, PORT, [ipv6, Observation(A, OUTSIDE, 0.0), Observation(B, OUTSIDE, 0.0)])

    assert found == Classification(Mapping.ENDPOINT_INDEPENDENT, OUTSIDE)


@given(
    st.permutations(
        [Observation(A, OUTSIDE, 1.0), Observation(B, OUTSIDE, 2.0), Observation(A_OTHER_PORT, OUTSIDE, 3.0)]
    )
)
def test_the_order_of_observations_does_not_matter(observations: list[Observation]) -> None:
    assert classify(LOCAL, PORT, observations) == Classification(Mapping.ENDPOINT_INDEPENDENT, OUTSIDE)
