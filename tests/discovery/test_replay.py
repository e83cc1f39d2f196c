"""Nonces and sender clocks."""

from __future__ import annotations

from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.discovery.replay import NONCES_MAX, SENDERS_MAX, NonceMemory, Novelty, SenderClocks, Stamp

HERE, THERE = Endpoint.parse("192.0.2.1:1"), Endpoint.parse("192.0.2.2:1")
KEY = PublicKey(bytes(32))


def test_a_nonce_is_new_once_repeated_from_its_source_and_replayed_from_elsewhere() -> None:
    memory = NonceMemory()
    assert memory.judge(b"n", HERE, 0.0) is Novelty.NEW
    assert memory.judge(b"n", HERE, 1.0) is Novelty.REPEATED
    assert memory.judge(b"n", THERE, 1.0) is Novelty.REPLAYED
    assert memory.judge(b"m", THERE, 1.0) is Novelty.NEW


def test_a_look_remembers_nothing() -> None:
    memory = NonceMemory()
    assert memory.look(b"n", HERE, 0.0) is Novelty.NEW
    assert len(memory) == 0
    memory.judge(b"n", HERE, 0.0)
    assert memory.look(b"n", HERE, 1.0) is Novelty.REPEATED
    assert memory.look(b"n", THERE, 1.0) is Novelty.REPLAYED
    assert memory.look(b"n", THERE, 1200.0) is Novelty.NEW


def test_a_nonce_is_remembered_for_twenty_minutes() -> None:
    memory = NonceMemory()
    memory.judge(b"n", HERE, 0.0)
    assert memory.judge(b"n", HERE, 1199.0) is Novelty.REPEATED
    assert memory.judge(b"n", HERE, 1200.0) is Novelty.NEW


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    memory = NonceMemory()
    for number in range(NONCES_MAX + 1):
        memory.judge(number.to_bytes(12, "big"), HERE, 0.0)
    assert len(memory) == NONCES_MAX
    assert memory.judge((1).to_bytes(12, "big"), HERE, 0.0) is Novelty.REPEATED
    assert memory.judge((0).to_bytes(12, "big"), HERE, 0.0) is Novelty.NEW


def test_an_older_message_of_a_sender_is_not_current() -> None:
    clocks = SenderClocks()
    assert clocks.is_current(KEY, Stamp(100))
    clocks.advance(KEY, Stamp(100))
    assert clocks.is_current(KEY, Stamp(100)) and not clocks.is_current(KEY, Stamp(99))
    assert clocks.is_current(PublicKey(b"1" * 32), Stamp(99))


def test_within_one_run_of_our_own_nodes_the_count_decides() -> None:
    clocks = SenderClocks()
    clocks.advance(KEY, Stamp(100, b"boot-one", 7))
    assert not clocks.is_current(KEY, Stamp(100, b"boot-one", 6))
    assert clocks.is_current(KEY, Stamp(50, b"boot-one", 8))  # its clock was set back
    assert clocks.is_current(KEY, Stamp(100, b"boot-two", 1))
    assert not clocks.is_current(KEY, Stamp(99, b"boot-two", 1))


def test_as_many_senders_are_remembered_as_the_bound_says() -> None:
    clocks = SenderClocks()
    for number in range(SENDERS_MAX + 1):
        clocks.advance(PublicKey(number.to_bytes(32, "big")), Stamp(100))
    assert clocks.newest(PublicKey((0).to_bytes(32, "big"))) is None
    assert clocks.newest(PublicKey((1).to_bytes(32, "big"))) == Stamp(100)
