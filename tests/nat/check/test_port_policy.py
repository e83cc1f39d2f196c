from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.nat.check.port_policy import STEP_MAX, Opinion, Policy, Sample, agreed, judge

PRESERVING, RANDOM = Opinion(Policy.PRESERVING), Opinion(Policy.RANDOM)

ports = st.integers(min_value=1, max_value=65535)


def samples(*external: int) -> list[Sample]:
    return [Sample(50000 + number, port) for number, port in enumerate(external)]


def test_ports_that_are_kept_are_preserving_also_where_one_of_them_was_taken() -> None:
    assert judge(samples(50000, 50001, 50002, 50003)) == PRESERVING
    assert judge(samples(50000, 50001, 9, 50003)) == PRESERVING


def test_half_of_the_ports_kept_is_no_rule() -> None:
    assert judge(samples(50000, 50001, 9, 30003)).policy is Policy.RANDOM


@pytest.mark.parametrize("step", [1, 2, -1, -2, STEP_MAX])
def test_a_step_of_one_direction_is_sequential(step: int) -> None:
    assert judge(samples(*(30000 + step * number for number in range(4)))) == Opinion(Policy.SEQUENTIAL, step)


def test_flows_of_others_between_ours_do_not_hide_the_step() -> None:
    assert judge(samples(30000, 30007, 30008, 30031)) == Opinion(Policy.SEQUENTIAL, 1)


def test_a_range_that_begins_again_is_one_outlier_and_still_sequential() -> None:
    assert judge(samples(39998, 39999, 30000, 30001)) == Opinion(Policy.SEQUENTIAL, 1)


def test_steps_to_and_fro_or_too_long_are_random() -> None:
    assert judge(samples(30000, 30001, 29999, 30002)).policy is Policy.RANDOM
    assert judge(samples(30000, 30000 + STEP_MAX + 1, 40000, 50009)).policy is Policy.RANDOM


def test_two_ports_prove_nothing() -> None:
    assert judge(samples(30000, 30001)) == Opinion()


@given(st.lists(ports, min_size=3, max_size=8))
def test_a_server_that_names_one_port_for_two_sockets_is_not_believed(external: list[int]) -> None:
    assert judge(samples(*external, external[0])) == Opinion()


@given(st.lists(ports, max_size=8))
def test_no_answers_of_a_server_break_the_judgement(external: list[int]) -> None:
    opinion = judge(samples(*external))
    assert (opinion.step is not None) == (opinion.policy is Policy.SEQUENTIAL)


def test_one_server_alone_decides_nothing_and_two_that_differ_neither() -> None:
    assert agreed([PRESERVING]) == Opinion()
    assert agreed([PRESERVING, Opinion()]) == Opinion()
    assert agreed([PRESERVING, RANDOM]) == Opinion()


def test_two_of_three_are_believed_and_two_of_four_are_not() -> None:
    assert agreed([PRESERVING, RANDOM, PRESERVING]) == PRESERVING
    assert agreed([PRESERVING, RANDOM, PRESERVING, RANDOM]) == Opinion()


def test_a_step_about_which_servers_differ_is_left_out() -> None:
    assert agreed([Opinion(Policy.SEQUENTIAL, 1), Opinion(Policy.SEQUENTIAL, 2)]) == Opinion(Policy.SEQUENTIAL)
