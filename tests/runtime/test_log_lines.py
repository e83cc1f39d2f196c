from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog import DropEvent
from wgmesh.runtime.log_lines import (
    EQUAL_LINES_AT_ONCE,
    EQUAL_LINES_EVERY_S,
    MAX_LIMITED_EVENTS,
    MAX_VALUE_CHARS,
    Event,
    RepeatLimiter,
    render_json,
    render_text,
    scrub,
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def passed(limiter: RepeatLimiter, name: str, level: str = "warning", times: int = 1) -> list[object]:
    found: list[object] = []
    for _ in range(times):
        try:
            found.append(limiter(None, level, {"event": name, "level": level}))
        except DropEvent:
            continue
    return found


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_a_few_equal_events_pass_at_once_and_then_one_in_a_while_that_tells_how_many_were_held_back(level: str) -> None:
    clock = Clock()
    limiter = RepeatLimiter(clock)

    assert len(passed(limiter, "packet dropped", level, times=1000)) == EQUAL_LINES_AT_ONCE
    clock.now += EQUAL_LINES_EVERY_S

    held_back = 1000 - EQUAL_LINES_AT_ONCE
    assert passed(limiter, "packet dropped", level) == [
        {"event": "packet dropped", "level": level, "suppressed": held_back}
    ]
    clock.now += EQUAL_LINES_EVERY_S
    assert passed(limiter, "packet dropped", level) == [{"event": "packet dropped", "level": level}]


def test_what_one_process_of_a_node_does_does_not_silence_what_another_does() -> None:
    limiter = RepeatLimiter(Clock())
    for child in ("nat", "node"):
        lines = [limiter(None, "info", {"event": "child ready", "level": "info", "child": child}) for _ in range(5)]
        assert len(lines) == EQUAL_LINES_AT_ONCE


def test_only_the_first_of_equal_tracebacks_is_shown_and_of_the_others_what_was_raised() -> None:
    clock = Clock()
    limiter, error = RepeatLimiter(clock), ValueError("x")

    def bug() -> Event:
        return limiter(None, "error", {"event": "met a bug", "level": "error", "exc_info": error})

    assert bug()["exc_info"] is error
    assert bug() == {"event": "met a bug", "level": "error", "error": "ValueError"}
    clock.now += EQUAL_LINES_EVERY_S * EQUAL_LINES_AT_ONCE
    assert bug()["exc_info"] is error


def test_one_event_does_not_silence_another() -> None:
    limiter = RepeatLimiter(Clock())
    passed(limiter, "first", times=EQUAL_LINES_AT_ONCE)

    assert passed(limiter, "second")


def test_who_asks_for_every_detail_gets_it() -> None:
    assert len(passed(RepeatLimiter(Clock()), "packet", level="debug", times=1000)) == 1000


def test_the_limiter_forgets_the_oldest_events_instead_of_growing() -> None:
    limiter = RepeatLimiter(Clock())
    passed(limiter, "first", times=EQUAL_LINES_AT_ONCE)

    for number in range(MAX_LIMITED_EVENTS):
        passed(limiter, f"event {number}")

    assert passed(limiter, "first")


def test_a_value_without_end_is_cut() -> None:
    assert len(scrub("x" * 1_000_000)) < MAX_VALUE_CHARS + 40


def test_a_value_that_contains_itself_ends() -> None:
    loop: list[object] = []
    loop.append(loop)

    assert json.dumps(scrub(loop)).endswith("]" * 6)


@pytest.mark.parametrize("hostile", ["two\nlines", "\x1b[31mred", "right\u202eleft", "\x00"])
def test_control_characters_from_the_network_do_not_reach_the_terminal(hostile: str) -> None:
    line = render_text({"event": hostile, "level": "info", "hostname": hostile})

    assert line.isprintable()


def test_colour_is_only_where_it_was_asked_for() -> None:
    event = {"event": "x", "level": "error"}

    assert "\x1b[31m" in render_text(event, coloured=True)
    assert "\x1b" not in render_text(event)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON_VALUES | st.binary(), max_size=5))
def test_any_event_renders_to_one_line(fields: dict[str, object]) -> None:
    fields.pop("exception", None)
    event = {key: scrub(value) for key, value in fields.items()}

    assert "\n" not in render_text(event)
    assert "\n" not in render_json(event)
    json.loads(render_json(event))
