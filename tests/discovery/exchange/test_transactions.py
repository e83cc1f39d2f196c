"""HELLOs in flight."""

from __future__ import annotations

from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.discovery.bounds import IN_FLIGHT_MAX
from wgmesh.discovery.exchange.transactions import Purpose, Transaction, Transactions

TARGET = Endpoint.parse("192.0.2.1:52527")
KEY = PublicKey(bytes(32))


def test_the_same_bytes_are_sent_again_ever_more_slowly_until_patience_ends() -> None:
    exchange = Transactions()
    first = exchange.start(TARGET, b"hello", Purpose.CONTACT, 100.0)
    assert first is not None and (first.data, first.to) == (b"hello", TARGET)
    failed: list[Transaction] = []
    sent_at, now = [], 100.0
    while (due := exchange.poll_timeout()) is not None:
        now = due
        transmits, failed = exchange.handle_timeout(now)
        sent_at += [round(now - 100.0, 3) for transmit in transmits if transmit.data == b"hello"]
    assert sent_at == [0.1, 0.3, 0.7, 1.5, 3.1]
    assert now == 104.0 and [attempt.target for attempt in failed] == [TARGET]


def test_without_resending_one_datagram_has_to_do() -> None:
    exchange = Transactions(resend=False)
    exchange.start(TARGET, b"hello", Purpose.CONTACT, 100.0)
    assert exchange.poll_timeout() == 104.0


def test_a_late_timer_sends_once_and_not_what_was_missed() -> None:
    exchange = Transactions()
    exchange.start(TARGET, b"hello", Purpose.CONTACT, 100.0)
    transmits, failed = exchange.handle_timeout(102.0)
    assert len(transmits) == 1 and failed == [] and exchange.poll_timeout() == 103.1


def test_a_second_reason_joins_and_prolongs_the_attempt() -> None:
    exchange = Transactions()
    assert not exchange.join(TARGET, Purpose.PROBE, 100.0)
    exchange.start(TARGET, b"hello", Purpose.CONTACT, 100.0)
    assert exchange.join(TARGET, Purpose.PROBE, 103.0)
    attempt = exchange.take_by_address(TARGET)
    assert attempt is not None and attempt.purposes == {Purpose.CONTACT, Purpose.PROBE}
    assert attempt.give_up_at == 107.0


def test_an_answer_is_matched_by_address_and_else_by_key_once() -> None:
    exchange = Transactions()
    exchange.start(TARGET, b"hello", Purpose.REFRESH, 100.0, KEY)
    assert exchange.take_by_address(Endpoint.parse("192.0.2.1:52528")) is None
    assert exchange.take_by_key(PublicKey(b"1" * 32)) is None
    assert exchange.take_by_key(KEY) is not None
    assert exchange.take_by_address(TARGET) is None and exchange.poll_timeout() is None


def test_there_is_a_bound_on_what_is_in_flight() -> None:
    exchange = Transactions()
    started = [
        exchange.start(Endpoint.of("192.0.2.1", port), b"", Purpose.CONTACT, 0.0)
        for port in range(1, IN_FLIGHT_MAX + 2)
    ]
    assert started[-1] is None and None not in started[:-1] and len(exchange) == IN_FLIGHT_MAX


OTHER = Endpoint.parse("192.0.2.2:52527")
OTHER_KEY = PublicKey(b"1" * 32)


def test_it_tells_whom_it_asks_and_what_for() -> None:
    exchange = Transactions()
    exchange.start(TARGET, b"hello", Purpose.CONTACT, 100.0)
    exchange.start(OTHER, b"hello", Purpose.PROBE, 100.0)
    assert exchange.targets() == (TARGET, OTHER)
    assert exchange.asks_for(TARGET, Purpose.CONTACT) and not exchange.asks_for(TARGET, Purpose.PROBE)
    assert not exchange.asks_for(Endpoint.parse("192.0.2.3:1"), Purpose.CONTACT)


def test_who_joins_late_is_waited_for_as_long_as_it_asked() -> None:
    exchange = Transactions(resend=False)
    exchange.start(TARGET, b"hello", Purpose.CONTACT, 100.0)
    exchange.join(TARGET, Purpose.PROBE, 103.0)
    assert exchange.poll_timeout() == 107.0
    assert exchange.handle_timeout(104.0) == ([], [])
    _, failed = exchange.handle_timeout(107.0)
    assert [each.target for each in failed] == [TARGET]
    assert len(exchange) == 0 and exchange.take_by_address(TARGET) is None


def test_a_timer_that_is_late_by_a_whole_step_does_not_send_twice() -> None:
    exchange = Transactions()
    exchange.start(TARGET, b"hello", Purpose.CONTACT, 0.0)
    assert len(exchange.handle_timeout(0.3)[0]) == 1
    assert exchange.poll_timeout() == 0.7


def test_who_is_asked_again_in_another_name_is_no_longer_asked_in_the_first() -> None:
    exchange = Transactions()
    exchange.start(TARGET, b"first", Purpose.CONTACT, 100.0, KEY)
    exchange.start(TARGET, b"second", Purpose.CONTACT, 101.0, OTHER_KEY)
    assert exchange.take_by_key(KEY) is None
    attempt = exchange.take_by_key(OTHER_KEY)
    assert attempt is not None and (attempt.data, attempt.key) == (b"second", OTHER_KEY)


def test_of_several_addresses_of_a_peer_the_oldest_that_is_left_is_matched_by_its_key() -> None:
    exchange = Transactions()
    for number, target in enumerate((TARGET, OTHER, Endpoint.parse("192.0.2.3:1"))):
        exchange.start(target, b"hello", Purpose.CONTACT, 100.0 + number, KEY)
    assert exchange.take_by_address(TARGET) is not None
    for expected in (OTHER, Endpoint.parse("192.0.2.3:1")):
        attempt = exchange.take_by_key(KEY)
        assert attempt is not None and attempt.target == expected
    assert exchange.take_by_key(KEY) is None


def test_nothing_is_remembered_of_a_peer_that_is_not_asked_for() -> None:
    exchange = Transactions()
    exchange.start(TARGET, b"hello", Purpose.CONTACT, 100.0, KEY)
    exchange.take_by_address(TARGET)
    assert not exchange._targets
