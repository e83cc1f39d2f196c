"""Nonces and sender clocks."""

from __future__ import annotations

from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.discovery.bounds import NONCES_MAX, SENDERS_MAX
from wgmesh.discovery.messages.replay import OVERTAKEN_S, NonceMemory, Novelty, SenderClocks, Stamp

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
    memory.judge(b"n", HERE, 5000.0)
    assert memory.judge(b"n", HERE, 6199.0) is Novelty.REPEATED
    assert memory.judge(b"n", HERE, 6200.0) is Novelty.NEW


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    memory = NonceMemory()
    for number in range(NONCES_MAX + 1):
        memory.judge(number.to_bytes(12, "big"), HERE, 0.0)
    assert len(memory) == NONCES_MAX
    assert memory.judge((1).to_bytes(12, "big"), HERE, 0.0) is Novelty.REPEATED
    assert memory.judge((0).to_bytes(12, "big"), HERE, 0.0) is Novelty.NEW


def test_an_older_message_of_a_sender_is_not_current() -> None:
    clocks = SenderClocks()
    assert clocks.is_current(KEY, Stamp(100), True)
    clocks.advance(KEY, Stamp(100), 1000.0, True)
    assert clocks.is_current(KEY, Stamp(100), True) and not clocks.is_current(KEY, Stamp(99), True)
    assert clocks.is_current(PublicKey(b"1" * 32), Stamp(99), True)


def test_within_one_run_of_our_own_nodes_the_count_decides() -> None:
    clocks = SenderClocks()
    clocks.advance(KEY, Stamp(100, b"boot-one", 7), 1000.0, True)
    assert not clocks.is_current(KEY, Stamp(100, b"boot-one", 6), True)
    assert clocks.is_current(KEY, Stamp(100, b"boot-one", 7), True)  # a HELLO is resent as it was
    assert clocks.is_current(KEY, Stamp(50, b"boot-one", 8), True)  # its clock was set back
    assert clocks.is_current(KEY, Stamp(100, b"boot-two", 1), True)
    assert not clocks.is_current(KEY, Stamp(99, b"boot-two", 1), True)


def test_a_sender_has_started_again_when_it_names_another_run() -> None:
    clocks = SenderClocks()
    assert not clocks.is_new_run(KEY, Stamp(100, b"boot-one"))  # nobody knows it yet
    clocks.advance(KEY, Stamp(100, b"boot-one"), 1000.0, True)
    assert not clocks.is_new_run(KEY, Stamp(101, b"boot-one"))
    assert clocks.is_new_run(KEY, Stamp(101, b"boot-two"))


def test_a_message_without_a_run_tells_of_no_new_start() -> None:
    clocks = SenderClocks()
    clocks.advance(KEY, Stamp(100, b"boot-one"), 1000.0, True)
    assert not clocks.is_new_run(KEY, Stamp(101))
    clocks.advance(KEY, Stamp(101), 1000.0, True)
    assert clocks.is_new_run(KEY, Stamp(102, b"boot-one"))


def test_the_sender_that_was_silent_for_longest_is_forgotten_first() -> None:
    clocks = SenderClocks(senders_max=4)  # two of each kind
    first, second, third = (PublicKey(number.to_bytes(32, "big")) for number in range(3))
    for key in (first, second, first, third):
        clocks.advance(key, Stamp(100), 1000.0, True)
    assert clocks.newest(second) is None
    assert clocks.newest(first) == clocks.newest(third) == Stamp(100)


def test_as_many_senders_are_remembered_as_the_bound_says() -> None:
    clocks = SenderClocks()
    for number in range(SENDERS_MAX // 2 + 1):  # as many again for what was not proven
        clocks.advance(PublicKey(number.to_bytes(32, "big")), Stamp(100), 1000.0, True)
    assert clocks.newest(PublicKey((0).to_bytes(32, "big"))) is None
    assert clocks.newest(PublicKey((1).to_bytes(32, "big"))) == Stamp(100)


def test_an_unproven_stamp_binds_no_proven_message() -> None:
    clocks = SenderClocks()
    clocks.advance(KEY, Stamp(1500, b"boot-liar", 1 << 50), 1000.0, is_proven=False)
    assert clocks.is_current(KEY, Stamp(900, b"boot-own", 1), is_proven=True)  # its own clock is late
    clocks.advance(KEY, Stamp(1000, b"boot-own", 1), 1000.0, is_proven=True)
    clocks.advance(KEY, Stamp(1500, b"boot-own", 1 << 50), 1000.0, is_proven=False)
    assert clocks.is_current(KEY, Stamp(1000, b"boot-own", 2), is_proven=True)
    assert clocks.newest(KEY) == Stamp(1000, b"boot-own", 1)


def test_an_unproven_stamp_that_is_ahead_of_us_binds_nobody_beyond_now() -> None:
    """Also not one that names the run of its victim, and a count that the victim will never reach."""
    clocks = SenderClocks()
    for boot in (b"boot-own", b"boot-liar", b""):
        clocks.advance(KEY, Stamp(1500, boot, 1 << 50), 1000.0, is_proven=False)
        assert clocks.is_current(KEY, Stamp(1000, b"boot-own", 1), is_proven=False)
        assert not clocks.is_current(KEY, Stamp(999, b"boot-new"), is_proven=False)


def test_invented_names_push_out_no_proven_stamp() -> None:
    clocks = SenderClocks()
    clocks.advance(KEY, Stamp(100), 1000.0, is_proven=True)
    for number in range(2 * SENDERS_MAX):
        clocks.advance(PublicKey(number.to_bytes(32, "little")), Stamp(100), 1000.0, is_proven=False)
    assert clocks.newest(KEY) == Stamp(100) and len(clocks) <= SENDERS_MAX


def test_a_message_that_was_overtaken_long_ago_is_a_recording() -> None:
    clocks = SenderClocks()
    clocks.advance(KEY, Stamp(1000, b"boot-one", 50), 1000.0, is_proven=True)
    recorded = int(1000 - OVERTAKEN_S - 1)
    assert clocks.is_recording(KEY, Stamp(recorded, b"boot-one", 49))
    assert not clocks.is_recording(KEY, Stamp(995, b"boot-one", 49))  # another way took longer
    assert not clocks.is_recording(KEY, Stamp(recorded, b"boot-one", 51))  # its clock was set back
    assert not clocks.is_recording(KEY, Stamp(recorded, b"boot-two", 1))  # it was, and it has started again
    assert not clocks.is_recording(KEY, Stamp(recorded))  # a Go node's
