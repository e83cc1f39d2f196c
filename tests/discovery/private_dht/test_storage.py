from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.wire.dht_message import MAX_VALUE_BYTES
from wgmesh.discovery.private_dht.storage import (
    LIFETIME_S,
    MAX_VALUES,
    MAX_VALUES_OF_HOST,
    MAX_VALUES_OF_KEY,
    JudgedStorage,
)

KEY = bytes(20)


def newer(key: bytes, old: bytes | None, new: bytes) -> bool:
    """A judge that goes by order, and takes no lies."""
    return new != b"lie" and (old is None or new > old)


def numbered(number: int) -> bytes:
    return number.to_bytes(20, "big")


def age(storage: JudgedStorage, by_s: float) -> None:
    """Makes all that is there older; the package has a clock of its own."""
    for key, (written_at, entry) in storage.data.items():
        storage.data[key] = (written_at - by_s, entry)


def test_a_value_is_kept_for_two_hours_after_it_was_last_written() -> None:
    storage = JudgedStorage(newer)
    assert storage.write(KEY, b"1", "a")
    age(storage, LIFETIME_S - 60)
    assert storage.get(KEY) == b"1"
    assert storage.write(KEY, b"1", "b")
    age(storage, LIFETIME_S - 60)
    assert storage.get(KEY) == b"1"
    age(storage, 60)
    assert storage.get(KEY) is None
    assert not storage.data


def test_the_judge_decides_what_may_take_a_place() -> None:
    storage = JudgedStorage(newer)
    assert not storage.write(KEY, b"lie", "a")
    assert storage.write(KEY, b"2", "a")
    assert not storage.write(KEY, b"1", "a")
    assert storage.write(KEY, b"3", "a")
    assert storage.values(KEY) == [b"3"]


def test_a_value_never_takes_the_place_of_one_that_came_from_another_host_and_they_are_told_by_turns() -> None:
    storage = JudgedStorage(newer)
    assert storage.write(KEY, b"9", "liar")
    assert storage.write(KEY, b"1", "honest")
    assert storage.write(KEY, b"99", "liar")
    assert sorted(storage.values(KEY)) == [b"1", b"99"]
    assert {storage.get(KEY) for _ in range(2)} == {b"1", b"99"}


def test_a_key_has_few_places_and_who_renews_keeps_its_own() -> None:
    storage = JudgedStorage(newer)
    storage.write(KEY, b"honest", "honest")
    for number in range(MAX_VALUES_OF_KEY - 1):
        storage.write(KEY, b"%d" % number, number)
    storage.write(KEY, b"honest", "honest")
    storage.write(KEY, b"late", "late")
    assert len(storage.values(KEY)) == MAX_VALUES_OF_KEY
    assert b"honest" in storage.values(KEY) and b"late" in storage.values(KEY) and b"0" not in storage.values(KEY)


@pytest.mark.parametrize("key", [b"", bytes(19), bytes(21), bytes(32)])
def test_a_key_of_another_length_is_refused(key: bytes) -> None:
    assert not JudgedStorage(newer).write(key, b"1", "a")


def test_an_empty_or_oversized_value_is_refused() -> None:
    storage = JudgedStorage(newer)
    assert not storage.write(KEY, b"", "a")
    assert not storage.write(KEY, bytes(MAX_VALUE_BYTES + 1), "a")
    assert storage.write(KEY, bytes(MAX_VALUE_BYTES), "a")


def test_a_host_beyond_its_share_loses_its_own_oldest_value_and_nobody_elses() -> None:
    storage = JudgedStorage(newer)
    assert storage.write(numbered(9999), b"1", "quiet")
    for number in range(MAX_VALUES_OF_HOST):
        assert storage.write(numbered(number), b"1", "loud")
    assert storage.write(numbered(0), b"2", "loud"), "what it renews takes no further place"
    assert storage.write(numbered(5000), b"1", "loud")
    assert len(storage.data) == MAX_VALUES_OF_HOST + 1
    assert storage.get(numbered(1)) is None
    assert storage.get(numbered(0)) == b"2" and storage.get(numbered(9999)) == b"1"


def test_one_that_repeats_a_value_does_not_take_it_over() -> None:
    storage = JudgedStorage(newer)
    for number in range(MAX_VALUES_OF_HOST):
        storage.write(numbered(number), b"1", "first")
        storage.write(numbered(number), b"1", "second")
    assert storage.write(numbered(9999), b"1", "second") and storage.get(numbered(0)) == b"1"
    assert storage.write(numbered(9998), b"1", "first") and storage.get(numbered(0)) is None


def test_no_more_values_are_kept_than_allowed_and_the_host_with_most_loses_its_oldest() -> None:
    storage = JudgedStorage(newer)
    assert storage.write(numbered(9999), b"1", "quiet")  # the oldest of all
    for number in range(MAX_VALUES - 1):
        storage.write(numbered(number), b"1", number % 100)
    assert storage.write(numbered(9998), b"1", "late")
    assert len(storage.data) == MAX_VALUES
    assert storage.get(numbered(9999)) == b"1" and storage.get(numbered(9998)) == b"1"
    assert storage.get(numbered(0)) is None and storage.get(numbered(1)) == b"1"


def test_nothing_is_remembered_of_a_host_whose_values_are_gone() -> None:
    storage = JudgedStorage(newer)
    for number in range(100):
        storage.write(numbered(number), b"1", number)
        storage.write(numbered(number), b"2", "other")
    age(storage, LIFETIME_S)
    storage.cull()
    assert not storage.data and not storage._values and not len(storage._places)


@given(st.lists(st.tuples(st.integers(0, 30), st.binary(min_size=1, max_size=1), st.integers(0, 3))))
def test_what_is_read_is_the_last_of_each_host_that_was_taken(writes: list[tuple[int, bytes, int]]) -> None:
    storage = JudgedStorage(newer)
    expected: dict[tuple[bytes, int], bytes] = {}
    for number, value, host in writes:
        key = numbered(number)
        is_known = value in [held for (each, _), held in expected.items() if each == key]
        is_newer = (key, host) not in expected or value > expected[key, host]
        assert storage.write(key, value, host) is (is_known or is_newer)
        if is_newer and not is_known:
            expected[key, host] = value
    for key in {key for key, _ in expected}:
        assert sorted(storage.values(key)) == sorted(held for (each, _), held in expected.items() if each == key)
