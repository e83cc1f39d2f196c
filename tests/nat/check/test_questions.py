from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.model import Endpoint
from wgmesh.core.stun import codec as stun
from wgmesh.core.stun.codec import Attribute, AttributeType, Change, Message, MessageType
from wgmesh.nat.check.questions import ATTEMPT_GAPS_S, PACE_S, Question, Questions

SERVER = Endpoint.parse("44.128.1.1:3478")
ELSEWHERE = Endpoint.parse("44.128.1.2:3479")
OUTSIDE = Endpoint.parse("44.130.0.9:40000")


def asked(question: Question) -> Questions:
    questions = Questions(random.Random(1).randbytes)
    questions.ask(question)
    questions.handle_timeout(0.0)
    return questions


def answer(question: Question, mapped: Endpoint = OUTSIDE) -> bytes:
    attributes = (Attribute(AttributeType.XOR_MAPPED_ADDRESS, mapped),)
    return stun.encode(Message(MessageType.BINDING_SUCCESS, question.identifier, attributes))


def test_an_answer_counts_from_the_server_on_the_channel_that_asked() -> None:
    question = Question("ipv4", SERVER)
    asked(question).handle_datagram(answer(question), SERVER, 0.1, "ipv4")

    assert (question.is_answered, question.seen, question.answered_at) == (True, OUTSIDE, 0.1)


@pytest.mark.parametrize(("source", "channel"), [(ELSEWHERE, "ipv4"), (SERVER, "fresh0")])
def test_an_answer_from_a_stranger_or_to_another_socket_is_none(source: Endpoint, channel: str) -> None:
    question = Question("ipv4", SERVER)
    asked(question).handle_datagram(answer(question), source, 0.1, channel)

    assert question.is_open
    assert question.seen is None


def test_a_second_answer_changes_nothing() -> None:
    question = Question("ipv4", SERVER)
    questions = asked(question)
    for mapped in (OUTSIDE, ELSEWHERE):
        questions.handle_datagram(answer(question, mapped), SERVER, 0.1, "ipv4")

    assert question.seen == OUTSIDE


def test_our_own_question_that_comes_back_is_no_answer() -> None:
    question = Question("ipv4", SERVER)
    asked(question).handle_datagram(stun.request(question.identifier), SERVER, 0.1, "ipv4")

    assert question.is_open


def test_what_should_come_back_counts_only_where_it_should_arrive_and_as_it_was_sent() -> None:
    question = Question("hairpin", OUTSIDE, arrives_at="fresh0")
    questions = asked(question)
    questions.handle_datagram(stun.request(question.identifier), OUTSIDE, 0.1, "hairpin")
    questions.handle_datagram(answer(question), OUTSIDE, 0.1, "fresh0")
    assert question.is_open

    questions.handle_datagram(stun.request(question.identifier), OUTSIDE, 0.1, "fresh0")
    assert question.is_answered


def test_an_answer_from_the_second_address_counts_where_it_was_asked_for() -> None:
    question = Question("filter0", SERVER, Change.ADDRESS | Change.PORT, ELSEWHERE)
    asked(question).handle_datagram(answer(question), ELSEWHERE, 0.1, "filter0")

    assert question.is_answered


def test_it_is_asked_three_times_and_then_silent() -> None:
    question = Question("ipv4", SERVER)
    questions = asked(question)
    while (due_at := questions.poll_timeout()) is not None:
        assert not question.is_silent
        questions.handle_timeout(due_at)

    assert (question.sent_count, question.is_silent, questions.is_idle) == (len(ATTEMPT_GAPS_S), True, True)


def test_silence_that_was_cut_short_is_none() -> None:
    question = Question("ipv4", SERVER)
    questions = asked(question)
    questions.stop()
    late = questions.ask(Question("ipv4", SERVER))

    assert (question.is_open, question.is_silent, late.is_open, late.is_silent) == (False, False, False, False)
    assert questions.is_idle


def test_datagrams_leave_in_their_order_and_not_at_one_moment() -> None:
    questions = Questions(random.Random(1).randbytes)
    for port in range(1, 5):
        questions.ask(Question("ipv4", Endpoint(SERVER.host, port)))
    now = 0.0
    left: list[tuple[int, int]] = []
    while len(left) < 4:
        questions.handle_timeout(now)
        while (transmit := questions.poll_transmit()) is not None:
            left.append((round(now / PACE_S), transmit.to.port))
        now += PACE_S / 2

    assert left == [(0, 1), (1, 2), (2, 3), (3, 4)]


@given(st.binary(max_size=100), st.integers(1, 65535))
def test_nothing_that_arrives_breaks_it_or_answers(data: bytes, port: int) -> None:
    question = Question("ipv4", SERVER)
    asked(question).handle_datagram(data, Endpoint(SERVER.host, port), 0.1, "ipv4")

    assert question.is_open
