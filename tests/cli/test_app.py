from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys

import click
import pytest
from support.command_line import Run
from wgmesh.cli import app, exits
from wgmesh.cli.catalogue import CATALOGUE, NOT_YET
from wgmesh.cli.program import program
from wgmesh.core import errors
from wgmesh.core.version import VERSION


def test_no_arguments_print_the_usage_and_end_with_2(wgmesh: Run) -> None:
    outcome = wgmesh()

    assert outcome.code == exits.USAGE
    assert outcome.out.startswith("Usage: wgmesh")
    assert outcome.err == ""


@pytest.mark.parametrize("words", [("help",), ("--help",), ("-h",)])
def test_every_way_to_ask_for_help_prints_one_complete_usage(wgmesh: Run, words: tuple[str, ...]) -> None:
    outcome = wgmesh(*words)

    assert outcome.code == exits.OK
    assert all(f"  {row.name} " in outcome.out for row in CATALOGUE)
    assert all(meaning.split(":")[0] in outcome.out for meaning in exits.MEANINGS.values())


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_help_for_a_command_is_the_same_either_way(wgmesh: Run, row: object) -> None:
    name = getattr(row, "name", "")

    before, after = wgmesh("help", name), wgmesh(name, "--help")

    assert before.code == exits.OK
    assert before.out == after.out
    assert f"Usage: wgmesh {name}" in before.out


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_every_command_takes_json_and_agrees_with_the_catalogue(row: object) -> None:
    context = click.Context(program)
    command = program.get_command(context, getattr(row, "name", ""))
    assert command is not None

    leaves = command.commands.values() if isinstance(command, click.Group) else [command]

    assert command.short_help == getattr(row, "summary", "")
    assert all(any("--json" in parameter.opts for parameter in leaf.params) for leaf in leaves)


def test_an_unknown_command_names_the_nearest_one(wgmesh: Run) -> None:
    outcome = wgmesh("statsu")

    assert outcome.code == exits.USAGE
    assert "there is no command `statsu`; did you mean `status`?" in outcome.err
    assert outcome.out == ""


def test_an_unknown_flag_names_the_nearest_one(wgmesh: Run) -> None:
    outcome = wgmesh("join", "--listen-prot", "1")

    assert outcome.code == exits.USAGE
    assert "--listen-port" in outcome.err
    assert "wgmesh join --help" in outcome.err


@pytest.mark.parametrize("name", NOT_YET)
def test_what_only_upstream_has_is_refused_with_a_sentence(wgmesh: Run, name: str) -> None:
    outcome = wgmesh(name)

    assert outcome.code == exits.USAGE
    assert NOT_YET[name] in outcome.err


def test_version_is_honoured_as_the_first_word_only(wgmesh: Run) -> None:
    line = f"wgmesh version {VERSION}\n"

    assert wgmesh("version").out == wgmesh("--version").out == wgmesh("-v").out == line
    assert wgmesh("join", "-v").code == exits.USAGE


def test_the_version_is_that_of_the_package(wgmesh: Run) -> None:
    assert wgmesh("version", "--json").json["version"] == importlib.metadata.version("wgmesh")


def test_with_json_an_error_is_an_object_on_stdout_and_a_sentence_on_stderr(wgmesh: Run) -> None:
    outcome = wgmesh("peers", "list", "--json")

    assert outcome.code == exits.NOT_RUNNING
    assert outcome.json["error"]["kind"] == "DaemonNotRunning"
    assert outcome.json["error"]["exit_code"] == exits.NOT_RUNNING
    assert outcome.err == f"wgmesh: {outcome.json['error']['message']}\n"


def test_a_usage_error_is_json_too(wgmesh: Run) -> None:
    outcome = wgmesh("status", "--json", "--bogus")

    assert outcome.code == exits.USAGE
    assert outcome.json["error"]["exit_code"] == exits.USAGE


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.MeshError("x"), 1),
        (errors.InvalidSecret("x"), 2),
        (errors.InvalidSetting("--x", "y"), 2),
        (errors.MalformedMessage("x"), 1),
        (errors.DaemonNotRunning("x"), 3),
        (errors.NotReady("x"), 1),
        (errors.DeviceUnavailable("x"), 1),
        (errors.PeerNotFound("x"), 4),
        (errors.PermissionDenied("x"), 5),
        (errors.AlreadyRunning("x"), 1),
        (errors.CorruptState("x"), 1),
        (errors.NotSupported("x"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert exits.exit_code(error) == code


def test_a_code_that_is_not_documented_becomes_1() -> None:
    assert [exits.documented(code) for code in (0, 1, 5, 78, -9)] == [0, 1, 5, 1, 1]


def test_the_reader_of_a_pipe_may_leave_early() -> None:
    script = "import sys; from wgmesh.cli.app import main; sys.exit(main(['help']))"
    reading, writing = os.pipe()
    os.close(reading)

    outcome = subprocess.run(
        [sys.executable, "-c", script], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=30
    )
    os.close(writing)

    assert outcome.returncode == exits.OK
    assert outcome.stderr == ""


@pytest.mark.parametrize(("words", "code"), [(["help"], exits.OK), (["version"], exits.OK), (["hlep"], exits.USAGE)])
def test_the_program_ends_with_its_code_and_all_it_has_said_also_without_stderr(words: list[str], code: int) -> None:
    program = [sys.executable, "-m", "wgmesh.cli", *words]
    heard = subprocess.run(program, capture_output=True, text=True, timeout=30)
    unheard = subprocess.run(["sh", "-c", 'exec "$@" 2>&-', "sh", *program], capture_output=True, text=True, timeout=30)

    assert (heard.returncode, unheard.returncode) == (code, code)
    assert heard.stdout == unheard.stdout
    assert (heard.stdout or heard.stderr).endswith("\n")


def test_start_loads_nothing_heavy() -> None:
    script = (
        "import sys; from wgmesh.cli.app import main; main(['version']);"
        "print([name for name in ('click', 'grpc', 'rich', 'google', 'json', 'asyncio') if name in sys.modules])"
    )

    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)

    assert outcome.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(wgmesh: Run, shell: str) -> None:
    outcome = wgmesh("completion", shell)

    assert outcome.code == exits.OK
    assert "_WGMESH_COMPLETE" in outcome.out
    assert wgmesh("completion", shell, "--json").json["shell"] == shell


def test_completion_completes_commands_and_flags(wgmesh: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_WGMESH_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "wgmesh pe")
    monkeypatch.setenv("COMP_CWORD", "1")

    commands = wgmesh().out
    monkeypatch.setenv("COMP_WORDS", "wgmesh join --lis")
    monkeypatch.setenv("COMP_CWORD", "2")

    assert commands == "plain,peers\n"
    assert wgmesh().out == "plain,--listen-port\n"


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_json_before_the_command_is_the_same_as_after_it(wgmesh: Run, row: object) -> None:
    """Each call has a mistake or no node, so that none of them starts anything."""
    name = getattr(row, "name", "")
    words = {"peers": ["peers", "list"], "init": ["init"], "version": ["version"], "completion": ["completion", "bash"]}
    call = words.get(name, [name, *(["--interface", "0bad"] if name in ASKING_NODES else ["--nonsense"])])

    before, after = wgmesh("--json", *call), wgmesh(*call, "--json")

    assert (before.code, before.out, before.err) == (after.code, after.out, after.err)
    assert before.json


ASKING_NODES = {"status", "plan", "down", "reload"}


@pytest.mark.parametrize(
    "words", [("peers", "--json", "list"), ("--json", "peers", "list"), ("--json", "--json", "peers", "list")]
)
def test_json_may_stand_before_the_inner_command(wgmesh: Run, words: tuple[str, ...]) -> None:
    assert wgmesh(*words).json["error"]["kind"] == "DaemonNotRunning"


@pytest.mark.parametrize("words", [("--json",), ("--json", "peers"), ("peers", "--json"), ("--json", "nonsense")])
def test_json_without_a_command_is_a_mistake_in_json(wgmesh: Run, words: tuple[str, ...]) -> None:
    outcome = wgmesh(*words)

    assert outcome.code == exits.USAGE
    assert outcome.json["error"]["exit_code"] == exits.USAGE


def test_json_before_version_and_help_is_understood(wgmesh: Run) -> None:
    assert wgmesh("--json", "--version").json["version"] == VERSION
    assert wgmesh("--json", "help", "status").out == wgmesh("status", "--help").out
    assert wgmesh("--json", "--help").out == wgmesh("help").out


def test_json_before_a_join_is_heard_by_the_node_and_by_the_start_without_a_secret_in_sight() -> None:
    assert app.command_first(["--json", "join", "--mtu", "1300"]) == ["join", "--json", "--mtu", "1300"]
    assert app.command_first(["join", "--peer", "--json"]) == ["join", "--peer", "--json"]
