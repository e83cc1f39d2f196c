from __future__ import annotations

import base64
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import segno
from support.command_line import GOOD_SECRET, Run
from wgmesh.cli import exits, output
from wgmesh.cli.qr_text import QUIET_ZONE, half_blocks, with_quiet_zone
from wgmesh.core.keys.secret import Secret


def test_init_makes_a_new_secret_of_32_bytes_each_time(wgmesh: Run) -> None:
    first, second = wgmesh("init", "--secret", "--quiet"), wgmesh("init", "--secret", "--quiet")

    assert first.out != second.out
    assert len(base64.urlsafe_b64decode(Secret.parse(first.out).reveal() + "=")) == 32
    assert first.out == Secret.parse(first.out).uri() + "\n"  # and nothing else
    assert first.err == ""


def test_init_prints_the_uri_and_how_to_join(wgmesh: Run) -> None:
    outcome = wgmesh("init", "--secret")

    assert outcome.out.splitlines()[2].startswith("wgmesh://v1/")
    assert "sudo wgmesh join --secret-file" in outcome.out
    assert wgmesh("init", "--secret", "--json").json["uri"].startswith("wgmesh://v1/")


def test_init_without_secret_is_a_usage_error(wgmesh: Run) -> None:
    assert wgmesh("init").code == exits.USAGE


def test_init_writes_a_private_file_and_never_over_another(wgmesh: Run, tmp_path: Path) -> None:
    path = tmp_path / "secret"

    written = wgmesh("init", "--secret", "--out", path)
    before = path.read_text()
    again = wgmesh("init", "--secret", "--out", path)

    assert written.code == exits.OK
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert before.strip() not in written.out
    assert Secret.parse(before)
    assert again.code == exits.FAILED
    assert "exists already" in again.err
    assert path.read_text() == before


def test_init_cannot_write_where_there_is_no_directory(wgmesh: Run, tmp_path: Path) -> None:
    outcome = wgmesh("init", "--secret", "--out", tmp_path / "absent" / "secret")

    assert outcome.code == exits.FAILED
    assert "cannot be written: No such file or directory" in outcome.err


def test_the_picture_scans_as_the_uri(wgmesh: Run, tmp_path: Path) -> None:
    picture = tmp_path / "code.png"

    outcome = wgmesh("qr", "--secret", GOOD_SECRET, "--png", picture)

    assert outcome.code == exits.OK
    assert stat.S_IMODE(picture.stat().st_mode) == 0o600
    assert scanned(picture) == GOOD_SECRET


def test_a_bare_secret_becomes_a_uri(wgmesh: Run, tmp_path: Path) -> None:
    bare = GOOD_SECRET.removeprefix("wgmesh://v1/")

    wgmesh("qr", "--secret", bare, "--png", tmp_path / "code.png")

    assert scanned(tmp_path / "code.png") == GOOD_SECRET


@pytest.mark.parametrize("flags", [(), ("--invert",)])
def test_the_terminal_drawing_scans_as_the_uri(wgmesh: Run, tmp_path: Path, flags: tuple[str, ...]) -> None:
    *lines, uri = wgmesh("qr", "--secret", GOOD_SECRET, *flags).out.splitlines()

    assert uri == GOOD_SECRET
    assert scanned(painted(lines, tmp_path / "drawn.pgm", light_is_drawn=not flags)) == GOOD_SECRET


@pytest.mark.parametrize("flags", [(), ("--invert",)])
def test_the_ascii_drawing_scans_as_the_uri(
    wgmesh: Run, tmp_path: Path, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANG", "C")

    *lines, uri = wgmesh("qr", "--secret", GOOD_SECRET, *flags).out.splitlines()

    assert uri == GOOD_SECRET
    assert {sign for line in lines for sign in line} == {"#", " "}
    pixels = [[sign == "#" for sign in line[::2]] for line in lines]
    assert scanned(picture_of(pixels, tmp_path / "drawn.pgm", light_is_drawn=not flags)) == GOOD_SECRET


@pytest.mark.parametrize(
    ("environ", "is_utf8"),
    [
        ({"LANG": "de_DE.UTF-8"}, True),
        ({"LANG": "en_US.utf8"}, True),
        ({"LANG": "de_DE.ISO-8859-1", "LC_CTYPE": "de_DE.UTF-8"}, True),
        ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, False),  # as Python has made it of LANG=C
        ({"LANG": "C.UTF-8", "LC_CTYPE": "C.UTF-8"}, True),
        ({"LANG": "de_DE@euro"}, False),
        ({}, False),
    ],
)
def test_the_locale_says_whether_a_terminal_knows_more_than_ascii(environ: dict[str, str], is_utf8: bool) -> None:
    assert output.speaks_utf8(environ) is is_utf8


@pytest.mark.parametrize("invert", [False, True])
def test_half_blocks_are_the_matrix_exactly(invert: bool) -> None:
    matrix = segno.make("wgmesh", micro=False).matrix
    rows = with_quiet_zone(matrix)

    pixels = unblocked(half_blocks(matrix, invert))

    assert [[pixel is invert for pixel in row] for row in pixels[: len(rows)]] == rows
    assert len(rows) == len(matrix) + 2 * QUIET_ZONE


def test_json_has_the_uri_and_the_modules(wgmesh: Run) -> None:
    value = wgmesh("qr", "--secret", GOOD_SECRET, "--json").json

    assert value["uri"] == GOOD_SECRET
    assert {len(row) for row in value["modules"]} == {len(value["modules"])}


def test_a_secret_that_no_code_can_hold_is_refused(wgmesh: Run, tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_text("x7Q" * 1500)
    path.chmod(0o600)

    outcome = wgmesh("qr", "--secret-file", path)

    assert outcome.code == exits.USAGE
    assert "too long for a QR code" in outcome.err


def test_the_picture_is_not_written_over_another_file(wgmesh: Run, tmp_path: Path) -> None:
    (tmp_path / "code.png").write_text("precious")

    assert wgmesh("qr", "--secret", GOOD_SECRET, "--png", tmp_path / "code.png").code == exits.FAILED
    assert (tmp_path / "code.png").read_text() == "precious"


def scanned(picture: Path) -> str:
    scanner = shutil.which("zbarimg")
    assert scanner is not None, "zbarimg is missing: apt-get install zbar-tools"
    command = [scanner, "--quiet", "--raw", str(picture)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def unblocked(lines: list[str]) -> list[list[bool]]:
    """True where a block is drawn, two rows a line."""
    return [
        [sign in signs for sign in line]
        for line in lines
        for signs in ("\N{UPPER HALF BLOCK}\N{FULL BLOCK}", "\N{LOWER HALF BLOCK}\N{FULL BLOCK}")
    ]


def painted(lines: list[str], path: Path, light_is_drawn: bool) -> Path:
    """Paints what a terminal shows: light blocks on a dark ground, or dark ones on a light ground."""
    return picture_of(unblocked(lines), path, light_is_drawn)


def picture_of(pixels: list[list[bool]], path: Path, light_is_drawn: bool) -> Path:
    scale = 8
    rows = [bytes(255 if pixel is light_is_drawn else 0 for pixel in row for _ in range(scale)) for row in pixels]
    header = b"P5 %d %d 255\n" % (len(rows[0]), scale * len(rows))  # the binary grey map of Netpbm
    path.write_bytes(header + b"".join(row * scale for row in rows))
    return path
