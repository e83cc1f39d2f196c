"""The call that is run again without the secret, by what was typed and what the environment holds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from support.command_line import GOOD_SECRET
from support.waiting import PATIENCE_S
from wgmesh.cli import exits
from wgmesh.cli.clean_start import VISIBLE_SECRET, clean_call

WITH_SECRET = {"WGMESH_SECRET": GOOD_SECRET, "HOME": "/root"}
WITHOUT = {"HOME": "/root"}


class Expected(NamedTuple):
    words: tuple[str, ...]
    environ: Mapping[str, str]
    secret: str | None = None
    was_typed: bool = False


def outcome(words: Sequence[str], environ: Mapping[str, str]) -> Expected | None:
    call = clean_call(words, environ)
    if call is None:
        return None
    return Expected(call.words, call.environ, call.secret, call.was_typed)


@pytest.mark.parametrize("words", [("--secret", GOOD_SECRET), (f"--secret={GOOD_SECRET}",)])
def test_a_typed_secret_leaves_the_arguments(words: tuple[str, ...]) -> None:
    call = outcome(("join", "--mtu", "1300", *words, "--json"), WITHOUT)

    assert call == Expected(("join", "--mtu", "1300", "--json"), WITHOUT, GOOD_SECRET, was_typed=True)


def test_a_secret_of_the_environment_leaves_it() -> None:
    assert outcome(("join", "--json"), WITH_SECRET) == Expected(("join", "--json"), WITHOUT, GOOD_SECRET)


@pytest.mark.parametrize("words", [("--secret-file", "/f"), ("--secret-file=/f",), ("--secret", "-")])
def test_a_secret_of_the_environment_leaves_it_also_where_a_flag_wins(words: tuple[str, ...]) -> None:
    assert outcome(("join", *words), WITH_SECRET) == Expected(("join", *words), WITHOUT)


def test_of_several_typed_secrets_none_stays_and_the_last_counts() -> None:
    call = outcome(("join", "--secret", "the first of all", "--secret", GOOD_SECRET), WITHOUT)
    unsaid = outcome(("join", "--secret", GOOD_SECRET, "--secret", "-"), WITHOUT)

    assert call == Expected(("join",), WITHOUT, GOOD_SECRET, was_typed=True)
    assert unsaid == Expected(("join", "--secret", "-"), WITHOUT)


@pytest.mark.parametrize("command", ["status", "qr", "test-peer"])
def test_a_typed_secret_leaves_the_arguments_of_commands_that_ask_as_well(command: str) -> None:
    assert outcome((command, "--secret", GOOD_SECRET), {}) == Expected((command,), {}, GOOD_SECRET, was_typed=True)


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        ((), WITH_SECRET),
        (("join", "--secret-file", "/f"), WITHOUT),
        (("join", "--secret", "-"), WITHOUT),
        (("join", "--secret-file", "/f", "--secret", GOOD_SECRET), WITHOUT),  # a mistake, which ends at once
        (("join", "--secret"), WITHOUT),  # and another
        (("status",), WITH_SECRET),  # asks a node, and would not any more if a secret were added
        (("init", "--secret", "--quiet"), WITHOUT),
    ],
)
def test_nothing_is_run_again_where_no_secret_is_in_sight(words: tuple[str, ...], environ: dict[str, str]) -> None:
    assert outcome(words, environ) is None


def test_a_call_hides_its_secret() -> None:
    assert GOOD_SECRET not in repr(clean_call(("join",), WITH_SECRET))


@pytest.mark.parametrize("program", [[str(Path(sys.executable).with_name("wgmesh"))], ["-m", "wgmesh.cli"]])
def test_a_command_does_the_same_when_it_has_been_started_again(program: list[str]) -> None:
    interpreter = [sys.executable, "-I"] if program[0] == "-m" else []
    done = run([*interpreter, *program, "qr", "--secret", GOOD_SECRET, "--json"])

    assert done.returncode == exits.OK
    assert f'"uri": "{GOOD_SECRET}"' in done.stdout
    assert done.stderr == f"warning: {VISIBLE_SECRET}\n"


def test_a_secret_that_is_not_utf_8_is_the_same_after_it() -> None:
    raw = b"sixteen bytes \xff\xfe\xfd"
    before = run([sys.executable, "-m", "wgmesh.cli", "status", "--secret-file", "/dev/stdin"], given=raw)
    after = run([sys.executable, "-m", "wgmesh.cli", "status", b"--secret=" + raw])

    assert before.returncode == after.returncode == exits.OK
    assert before.stdout == after.stdout


def run(argv: list[str | bytes], given: bytes = b"") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(argv, input=given, capture_output=True, check=False, timeout=PATIENCE_S, env=dict(os.environ))
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())
