from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog import DropEvent
from wgmesh.runtime.log_lines import (
    INFO_PER_MINUTE,
    MAX_LIMITED_EVENTS,
    MAX_VALUE_CHARS,
    REPEAT_WINDOW_S,
    REPEATS_PER_MINUTE,
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


def test_a_warning_passes_a_few_times_a_minute_and_then_tells_how_many_were_held_back() -> None:
    clock = Clock()
    limiter = RepeatLimiter(clock, per_minute=3)

    assert len(passed(limiter, "packet dropped", times=10)) == 3
    clock.now = REPEAT_WINDOW_S

    assert passed(limiter, "packet dropped") == [{"event": "packet dropped", "level": "warning", "suppressed": 7}]
    assert passed(limiter, "packet dropped") == [{"event": "packet dropped", "level": "warning"}]


def test_one_event_does_not_silence_another() -> None:
    limiter = RepeatLimiter(Clock(), per_minute=1)
    passed(limiter, "first", times=5)

    assert passed(limiter, "second")


def test_what_is_no_problem_is_told_more_often_and_yet_not_more_than_a_line_a_second() -> None:
    clock = Clock()
    limiter = RepeatLimiter(clock, per_minute=1)

    assert len(passed(limiter, "state changed", level="info", times=5)) == 5
    assert len(passed(limiter, "state changed", level="info", times=1000)) == INFO_PER_MINUTE - 5
    assert 3 * INFO_PER_MINUTE + REPEATS_PER_MINUTE < 60, "a peer comes, it leaves, the device changes; a warning"
    clock.now += 60.0
    assert passed(limiter, "state changed", level="info") == [
        {"event": "state changed", "level": "info", "suppressed": 1005 - INFO_PER_MINUTE}
    ]


def test_who_asks_for_every_detail_gets_it() -> None:
    assert len(passed(RepeatLimiter(Clock(), per_minute=1), "packet", level="debug", times=1000)) == 1000


def test_the_limiter_forgets_the_oldest_events_instead_of_growing() -> None:
    limiter = RepeatLimiter(Clock(), per_minute=1)
    passed(limiter, "first", times=2)

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
