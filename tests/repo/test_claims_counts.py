"""docs/reference/claims.md: every promise has one of four states, and the counts at the top are right."""

from __future__ import annotations

import re
from collections import Counter

from support.repository import ROOT

PAGE = ROOT / "docs" / "reference" / "claims.md"
STATES = ("kept", "partly", "not yet", "not a promise")
# upstream's documents have ten sections of promises; the tenth is its score, which is the table at the top here
SECTION_STARTS = (1, 19, 29, 44, 56, 65, 81, 92, 102)

_PROMISE = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_COUNT = re.compile(r"^\| ([a-z ]+) \| (\d+) \| [^|]+ \|$", re.MULTILINE)
_TEST = re.compile(r"`tests/[\w/.]+\.py::\w+`")


def promises() -> list[tuple[int, str, str]]:
    """Number, state and evidence of each, in the order of the page."""
    return [(int(number), state, evidence) for number, _, state, evidence in _PROMISE.findall(PAGE.read_text())]


def test_all_promises_are_there_in_order_and_in_their_sections() -> None:
    assert [number for number, _, _ in promises()] == list(range(1, 121))
    sections = PAGE.read_text().split("\n## ")[1:]
    firsts = [int(found[1]) for section in sections if (found := _PROMISE.search(section))]
    assert firsts == list(SECTION_STARTS)


def test_the_counts_at_the_top_are_those_of_the_tables() -> None:
    counted = Counter(state for _, state, _ in promises())
    stated = {state: int(count) for state, count in _COUNT.findall(PAGE.read_text())}
    assert stated == {state: counted[state] for state in STATES}
    assert counted.total() == 120


def test_what_holds_names_a_test_and_what_does_not_names_none() -> None:
    wrong = [
        number
        for number, state, evidence in promises()
        if bool(_TEST.search(evidence)) != (state in ("kept", "partly"))
    ]
    assert wrong == []


def test_what_holds_in_part_says_what_is_missing() -> None:
    assert [number for number, state, evidence in promises() if (state == "partly") != ("missing: " in evidence)] == []
