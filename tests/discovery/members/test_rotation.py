"""Whose turn it is to be mentioned."""

from __future__ import annotations

from wgmesh.core.model import PublicKey
from wgmesh.discovery.members.rotation import Rotation

A, B, C, D = (PublicKey(letter * 32) for letter in (b"a", b"b", b"c", b"d"))


def test_who_was_not_mentioned_for_longest_comes_first_and_the_new_before_all() -> None:
    rotation = Rotation()
    for key in (A, B, C):
        rotation.enter(key)
    rotation.note([C, A])
    assert rotation.first(8) == [B, C, A]
    rotation.enter(D)
    assert rotation.first(8) == [D, B, C, A]
    rotation.enter(A)  # again: it keeps its turn
    assert rotation.first(2, besides=D) == [B, C]


def test_who_has_left_is_mentioned_no_more() -> None:
    rotation = Rotation()
    rotation.enter(A)
    rotation.leave(A)
    rotation.note([A])
    assert rotation.first(8) == [] and len(rotation) == 0


def test_by_turns_everybody_is_mentioned() -> None:
    rotation = Rotation()
    keys = [PublicKey(number.to_bytes(32, "big")) for number in range(100)]
    for key in keys:
        rotation.enter(key)
    told = set()
    for _ in range(34):
        turn = rotation.first(3)
        rotation.note(turn)
        told.update(turn)
    assert told == set(keys)
