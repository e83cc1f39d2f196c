from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.discovery.private_store import (
    LIFETIME_S,
    MAX_VALUE_BYTES,
    MAX_VALUES,
    MAX_VALUES_OF_SOURCE,
    PrivateStore,
)

KEY = bytes(20)


def newer(key: bytes, old: bytes | None, new: bytes) -> bool:
    """A judge that goes by order, and takes no lies."""
    return new != b"lie" and (old is None or new > old)


def numbered(number: int) -> bytes:
    return number.to_bytes(20, "big")


def test_a_value_is_kept_for_two_hours_after_it_was_last_written() -> None:
    store = PrivateStore(newer)
    assert store.write(KEY, b"1", "a", 0.0)
    assert store.write(KEY, b"1", "b", 3600.0)

    assert store.read(KEY, 3600.0 + LIFETIME_S - 1) == b"1"
    assert store.read(KEY, 3600.0 + LIFETIME_S) is None
    assert len(store) == 0


def test_the_judge_decides_what_may_take_a_place() -> None:
    store = PrivateStore(newer)

    assert not store.write(KEY, b"lie", "a", 0.0)
    assert store.write(KEY, b"2", "a", 0.0)
    assert not store.write(KEY, b"1", "a", 0.0)
    assert store.write(KEY, b"3", "b", 0.0)
    assert store.read(KEY, 0.0) == b"3"


@pytest.mark.parametrize("key", [b"", bytes(19), bytes(21), bytes(33)])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    assert not PrivateStore(newer).write(key, b"1", "a", 0.0)


def test_an_empty_or_oversized_value_is_refused() -> None:
    store = PrivateStore(newer)

    assert not store.write(KEY, b"", "a", 0.0)
    assert not store.write(KEY, bytes(MAX_VALUE_BYTES + 1), "a", 0.0)
    assert store.write(KEY, bytes(MAX_VALUE_BYTES), "a", 0.0)


def test_one_writer_pushes_out_its_own_oldest_values_and_nobody_elses() -> None:
    store = PrivateStore(newer)
    store.write(numbered(0), b"1", "quiet", 0.0)
    for number in range(1, MAX_VALUES_OF_SOURCE + 2):
        store.write(numbered(number), b"1", "loud", 1.0)

    assert store.read(numbered(0), 1.0) == b"1"
    assert store.read(numbered(1), 1.0) is None
    assert len(store) == MAX_VALUES_OF_SOURCE + 1


def test_whoever_repeats_a_value_does_not_take_it_over() -> None:
    store = PrivateStore(newer)
    store.write(KEY, b"1", "first", 0.0)
    store.write(KEY, b"1", "loud", 0.0)
    for number in range(1, MAX_VALUES_OF_SOURCE + 1):
        store.write(numbered(number), b"1", "loud", 1.0)

    assert store.read(KEY, 1.0) == b"1"


@given(
    st.lists(st.tuples(st.integers(0, 30), st.binary(min_size=1, max_size=1), st.integers(0, 3), st.floats(0, 4000)))
)
def test_what_is_read_is_the_last_that_was_taken_and_is_not_older_than_its_lifetime(
    writes: list[tuple[int, bytes, int, float]],
) -> None:
    store = PrivateStore(newer)
    expected: dict[bytes, tuple[bytes, float]] = {}
    now = 0.0
    for number, value, source, pause_s in writes:
        now += pause_s
        expected = {key: each for key, each in expected.items() if now - each[1] < LIFETIME_S}
        key = numbered(number)
        old = expected.get(key)
        is_taken = old is None or value >= old[0]
        assert store.write(key, value, source, now) is is_taken
        if is_taken:
            expected[key] = (value, now)
    assert {key: store.read(key, now) for key in expected} == {key: value for key, (value, _) in expected.items()}
    assert len(store) == len(expected) <= MAX_VALUES


def test_no_more_values_are_kept_than_allowed() -> None:
    store = PrivateStore(newer)
    for number in range(MAX_VALUES + 10):
        store.write(numbered(number), b"1", number % 100, 0.0)

    assert len(store) == MAX_VALUES
    assert store.read(numbered(9), 0.0) is None
    assert store.read(numbered(10), 0.0) == b"1"
