"""What a person at a terminal sees, on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
from pathlib import Path

from support.command_line import GOOD_SECRET
from support.doubles.fake_node import FakeNode, served
from wgmesh.cli import exits


def test_a_terminal_gets_a_table_with_colour_and_a_pipe_does_not(tmp_path: Path) -> None:
    with served(FakeNode(), tmp_path / "wg7" / "node.sock"):
        words = ("peers", "list", "--runtime-dir", str(tmp_path))
        coloured, plain, dumb = shown(160, *words), shown(160, *words, NO_COLOR="1"), shown(160, *words, TERM="dumb")

    assert "\x1b[32mconnected" in coloured.text
    assert "\x1b[32m" not in plain.text
    assert "connected" in plain.text
    assert "-" * 130 in dumb.text


def test_a_qr_code_on_a_terminal_is_black_on_white(tmp_path: Path) -> None:
    wide = shown(100, "qr", WGMESH_SECRET=GOOD_SECRET)
    inverted = shown(100, "qr", "--invert", WGMESH_SECRET=GOOD_SECRET)

    assert wide.code == inverted.code == exits.OK
    assert wide.text.startswith("\x1b[38;5;16;48;5;231m")
    assert inverted.text.startswith("\x1b[38;5;231;48;5;16m")


def test_a_terminal_that_is_too_narrow_for_a_qr_code_is_said_so() -> None:
    narrow = shown(30, "qr", WGMESH_SECRET=GOOD_SECRET)

    assert narrow.code == exits.FAILED
    assert "columns and the terminal has 30; widen it or use --png FILE" in narrow.errors
    assert narrow.text == ""


class Shown:
    """What a terminal got, and what went to the error stream."""

    def __init__(self, code: int, text: str, errors: str) -> None:
        self.code, self.text, self.errors = code, text, errors


def shown(columns: int, *words: str, **environ: str) -> Shown:
    """Runs `wgmesh` on a terminal of this width."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    # COLUMNS and NO_COLOR of the outer shell would hide the terminal's own answer
    outer = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-m", "wgmesh.cli", *words],
        stdout=slave,
        stdin=slave,
        stderr=subprocess.PIPE,
        env={**outer, "TERM": "xterm-256color", **environ},
    ) as process:
        os.close(slave)
        text = _drained(master)
        assert process.stderr is not None
        errors = process.stderr.read().decode()
    return Shown(process.returncode, text, errors)


def _drained(master: int) -> str:
    """All that was written, until the last writer has gone."""
    parts: list[bytes] = []
    try:
        while data := os.read(master, 65536):
            parts.append(data)
    except OSError:  # EIO: how Linux says that a terminal has no writer any more
        pass
    finally:
        os.close(master)
    return b"".join(parts).decode()
