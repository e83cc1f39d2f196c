from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.errors import MalformedMessage
from wgmesh.nat.ping_lines import LINE_BYTES_MAX, PingLines, is_pong


@pytest.mark.parametrize("line", [b"ping\n", b"  ping \r\n", b"ping\t\n"])
def test_a_ping_is_answered_whatever_white_space_surrounds_it(line: bytes) -> None:
    assert PingLines().feed(line) == (1, b"pong\n")


@pytest.mark.parametrize("line", [b"\n", b"PING\n", b"pingping\n", b"GET / HTTP/1.1\r\n", b"\xff\xfe\n"])
def test_any_other_line_is_ignored_silently(line: bytes) -> None:
    assert PingLines().feed(line) == (1, b"")


def test_a_line_without_an_end_is_not_answered_yet() -> None:
    lines = PingLines()

    assert lines.feed(b"pi") == (0, b"")
    assert lines.feed(b"ng\nping\n") == (2, b"pong\npong\n")


def test_a_line_that_never_ends_is_refused() -> None:
    lines = PingLines()

    with pytest.raises(MalformedMessage):
        lines.feed(b"x" * (LINE_BYTES_MAX + 1))


def test_only_a_pong_is_a_pong() -> None:
    assert is_pong(b"pong\n")
    assert is_pong(b" pong\r\n")
    assert not is_pong(b"ping\n")
    assert not is_pong(b"")


@given(st.lists(st.sampled_from([b"ping\n", b"x\n", b"\n", b" ping\r\n"])), st.integers(1, 7))
def test_the_answer_does_not_depend_on_how_the_bytes_are_cut(sent: list[bytes], size: int) -> None:
    data = b"".join(sent)
    lines = PingLines()

    pieces = [lines.feed(data[start : start + size]) for start in range(0, len(data), size)]

    assert b"".join(answer for _, answer in pieces) == b"pong\n" * sum(b"ping" in line for line in sent)
    assert sum(count for count, _ in pieces) == len(sent)
