"""Whose turn it is to be mentioned."""

from __future__ import annotations

from wgmesh.core.model import PublicKey
from wgmesh.discovery.members.rotation import Rotation

A, B, C, D = (PublicKey(letter * 32) for letter in (b"a", b"b", b"c", b"d"))


def test_who_was_not_mentioned_for_longest_comes_first_and_the_new_before_all() -> None:
    rotation = Rotation[PublicKey]()
    for key in (A, B, C):
        rotation.enter(key)
    rotation.note([C, A])
    assert rotation.first(8) == [B, C, A]
    rotation.enter(D)
    assert rotation.first(8) == [D, B, C, A]
    rotation.enter(A)  # again: it keeps its turn
    assert rotation.first(2, besides=D) == [B, C]


def test_who_has_left_is_mentioned_no_more() -> None:
    rotation = Rotation[PublicKey]()
    rotation.enter(A)
    rotation.leave(A)
    rotation.note([A])
    assert rotation.first(8) == [] and len(rotation) == 0


def test_by_turns_everybody_is_mentioned() -> None:
    rotation = Rotation[PublicKey]()
    keys = [PublicKey(number.to_bytes(32, "big")) for number in range(100)]
    for key in keys:
        rotation.enter(key)
    told = set()
    for _ in range(34):
        turn = rotation.first(3)
        rotation.note(turn)
        told.update(turn)
    assert told == set(keys)


def test_of_those_who_enter_together_the_first_is_first_and_all_have_their_turn() -> None:
    rotation = Rotation[str](8)
    rotation.enter("a", "b", "c", "d", "e")
    assert [rotation.take(2) for _ in range(3)] == [["a", "b"], ["c", "d"], ["e", "a"]]
    rotation.enter("f", "b")
    assert [*rotation] == ["f", "b", "c", "d", "e", "a"]


def test_of_too_many_those_whose_turn_is_farthest_away_are_forgotten() -> None:
    rotation = Rotation[int](3)
    rotation.enter(1, 2, 3, 4)
    assert [*rotation] == [1, 2, 3]
    rotation.take(1)
    rotation.enter(5)
    assert [*rotation] == [5, 2, 3]
