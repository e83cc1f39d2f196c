from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.recent import Recent


def test_what_was_noted_longest_ago_is_forgotten_first() -> None:
    recent: Recent[str, int] = Recent(2)
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        recent.note(key, value)
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (3, None, 4)


def test_what_is_not_there_is_the_default_and_may_be_forgotten() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.note("a", 1)
    recent.forget("a")
    recent.forget("a")
    assert recent.get("a") is None and recent.get("a", 7) == 7


@given(st.lists(st.integers(0, 9)), st.integers(1, 5))
def test_it_holds_the_last_that_were_noted(keys: list[int], max_count: int) -> None:
    recent: Recent[int, int] = Recent(max_count)
    for place, key in enumerate(keys):
        recent.note(key, place)
    last = list(dict.fromkeys(reversed(keys)))[:max_count]
    assert {key for key in range(10) if recent.get(key) is not None} == set(last)
    assert len(recent) == len(last)
