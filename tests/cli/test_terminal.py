"""What a person at a terminal sees, on a real pseudo-terminal."""

from __future__ import annotations

import base64
import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import segno
from support.command_line import GOOD_SECRET
from support.doubles.fake_node import ALICE_KEY, FakeNode, alice, bob, served
from wgmesh.cli import exits
from wgmesh.cli.qr_text import with_quiet_zone
from wgmesh.v1 import node_service_pb2 as node_pb2
from wgmesh.v1 import peer_pb2


def test_a_terminal_gets_a_table_with_colour_and_a_pipe_does_not(tmp_path: Path) -> None:
    with served(FakeNode(), tmp_path / "wg7" / "node.sock"):
        words = ("peers", "list", "--runtime-dir", str(tmp_path))
        coloured, plain, dumb = shown(160, *words), shown(160, *words, NO_COLOR="1"), shown(160, *words, TERM="dumb")

    assert "\x1b[32mconnected" in coloured.text
    assert "\x1b[32m" not in plain.text
    assert "connected" in plain.text
    assert "-" * 130 in dumb.text


KEY = base64.b64encode(ALICE_KEY).decode()
LONG = "a-host-name-of-sixty-three-signs-which-is-as-long-as-they-may-be"[:63]


def crowded() -> FakeNode:
    """Peers with long names, long endpoints and several networks each."""
    peers = [alice(), bob(), alice()]
    peers[2].state, peers[2].public_key = node_pb2.PeerStatus.STATE_SUSPECT, bytes(range(32))
    peers[2].reason = "sent 21 s ago, and nothing has come back for 23 s" * 3
    peers[2].ClearField("round_trip_time")
    peers[1].hostname = LONG
    peers[1].endpoint.host, peers[1].endpoint.port = "2001:db8:1111:2222:3333:4444:5555:6666", 51820
    peers[1].mesh_ipv6 = "fd5a:1111:2222:3333:4444:5555:6666:7777"
    peers[1].routable_networks.extend(f"192.168.{number}.0/24" for number in range(9))
    return FakeNode(peers=peers)


@pytest.mark.parametrize("columns", [200, 100, 80, 60, 40])
@pytest.mark.parametrize("wide", [(), ("--wide",)])
def test_a_table_has_one_line_a_peer_at_any_width_and_whole_words(
    tmp_path: Path, columns: int, wide: tuple[str, ...]
) -> None:
    node = crowded()
    with served(node, tmp_path / "wg7" / "node.sock"):
        seen = shown(columns, "peers", "list", *wide, "--runtime-dir", str(tmp_path), NO_COLOR="1")

    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in seen.text.splitlines()]
    header, _, *rows = lines
    assert len(rows) == len(node.peers)
    assert max(map(len, lines)) <= columns
    assert header.startswith("HOSTNAME") and "MESH IP" in header
    for peer, row in zip(node.peers, rows, strict=True):
        assert peer.mesh_ipv4 in row.split()
        assert columns < 60 or {"connected", "connecting", "suspect"} & set(row.split())
    if wide:
        assert ("left out at this width" in seen.errors) == ("ROUTES" not in header)
    assert KEY in seen.text or "PUBLIC KEY" not in header or not wide


def test_a_ban_is_one_line_with_its_whole_key(tmp_path: Path) -> None:
    node = FakeNode(bans=[peer_pb2.Ban(public_key=ALICE_KEY, reason="floods the network " * 10)])
    with served(node, tmp_path / "wg7" / "node.sock"):
        seen = shown(80, "peers", "bans", "--runtime-dir", str(tmp_path), NO_COLOR="1")

    assert len(seen.text.splitlines()) == 3
    assert KEY in seen.text and "floods the" in seen.text


def test_a_qr_code_on_a_terminal_is_black_on_white(tmp_path: Path) -> None:
    wide = shown(100, "qr", WGMESH_SECRET=GOOD_SECRET)
    inverted = shown(100, "qr", "--invert", WGMESH_SECRET=GOOD_SECRET)

    assert wide.code == inverted.code == exits.OK
    assert wide.text.startswith("\x1b[38;5;16;48;5;231m")
    assert inverted.text.startswith("\x1b[38;5;231;48;5;16m")


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("environ", [{"LANG": "C"}, {"LC_ALL": "C"}, {"LANG": "de_DE.ISO-8859-1"}])
def test_a_terminal_that_is_not_utf8_gets_a_code_of_blanks_that_is_the_right_one(
    columns: int, environ: dict[str, str]
) -> None:
    seen = shown(columns, "qr", **{"WGMESH_SECRET": GOOD_SECRET, "LANG": "", **environ})

    assert seen.code == exits.OK, seen.errors
    assert seen.text.isascii()
    *lines, uri = seen.text.splitlines()
    assert uri == GOOD_SECRET
    modules = [
        [
            ground == "16"
            for ground, blanks in re.findall(r"\x1b\[48;5;(\d+)m( +)", line)
            for _ in range(len(blanks) // 2)
        ]
        for line in lines
    ]
    matrix = segno.make(GOOD_SECRET, error="m", micro=False).matrix
    zone = (len(modules) - len(matrix)) // 2
    assert zone >= 2
    assert modules == with_quiet_zone(matrix, zone)
    assert 2 * len(modules[0]) <= columns


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
