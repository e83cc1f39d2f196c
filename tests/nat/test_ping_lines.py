from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.core.errors import MalformedMessage
from wgmesh.nat.ping_lines import LINE_BYTES_MAX, PINGS_AT_ONCE, PingLines, is_pong


@pytest.mark.parametrize("line", [b"ping\n", b"  ping \r\n", b"ping\t\n"])
def test_a_ping_is_answered_whatever_white_space_surrounds_it(line: bytes) -> None:
    assert PingLines().feed(line) == 1


@pytest.mark.parametrize("line", [b"\n", b"PING\n", b"pingping\n", b"GET / HTTP/1.1\r\n", b"\xff\xfe\n"])
def test_any_other_line_is_ignored_silently(line: bytes) -> None:
    assert PingLines().feed(line) == 0


def test_a_line_without_an_end_is_not_answered_yet() -> None:
    lines = PingLines()

    assert lines.feed(b"pi") == 0
    assert lines.feed(b"ng\nping\n") == 2


def test_a_line_that_never_ends_is_refused() -> None:
    lines = PingLines()
    lines.feed(b"x" * LINE_BYTES_MAX)

    with pytest.raises(MalformedMessage):
        lines.feed(b"x")


def test_a_flood_in_one_piece_is_refused_before_it_is_parted_into_lines() -> None:
    with pytest.raises(MalformedMessage, match="bytes at once"):
        PingLines().feed(b"ping\n" * 1000)


@pytest.mark.parametrize("line", [b"ping\n", b"x\n", b"\n"])
def test_lines_faster_than_any_client_sends_them_are_refused_whatever_they_say(line: bytes) -> None:
    lines = PingLines(now=0.0)
    lines.feed(line * PINGS_AT_ONCE, now=0.0)

    with pytest.raises(MalformedMessage, match="lines a second"):
        lines.feed(line, now=0.05)


def test_a_go_node_that_pings_each_second_is_answered_all_the_time() -> None:
    lines = PingLines(now=0.0)

    assert sum(lines.feed(b"ping\n", now=float(second)) for second in range(3600)) == 3600


def test_only_a_pong_is_a_pong() -> None:
    assert is_pong(b"pong\n")
    assert is_pong(b" pong\r\n")
    assert not is_pong(b"ping\n")
    assert not is_pong(b"")


@given(st.lists(st.sampled_from([b"ping\n", b"x\n", b"\n", b" ping\r\n"]), max_size=PINGS_AT_ONCE), st.integers(1, 7))
def test_the_answer_does_not_depend_on_how_the_bytes_are_cut(sent: list[bytes], size: int) -> None:
    data = b"".join(sent)
    lines = PingLines()

    pieces = [lines.feed(data[start : start + size]) for start in range(0, len(data), size)]

    assert sum(pieces) == sum(b"ping" in line for line in sent)
