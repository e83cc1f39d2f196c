"""No text of a library, of Python or of the protocol between processes reaches a person."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import grpc
import pytest
from support.command_line import GOOD_SECRET, Outcome, Run
from support.doubles.fake_node import FakeNode, served
from support.doubles.fake_supervisor import own_interface, telling
from support.waiting import PATIENCE_S
from wgmesh.cli import exits
from wgmesh.cli.catalogue import CATALOGUE
from wgmesh.runtime.node_report import SILENT, NodeReport, ServiceReport

FOREIGN = re.compile(
    r"Traceback|range\.|valid float|valid integer|Method not found|failed to connect|Deadline Exceeded|Socket closed"
    r"|StatusCode|grpc|_pb2|Errno|gaierror|Exception|Error\b|NoneType|0x[0-9a-f]{6}|<class|\bclick\b|rich\."
)
ASKING = ("status", "plan", "reload", "peers list", "peers get alice", "peers bans", "ping alice -c 1", "down")
GARBAGE = ("", " ", "x", "-1", "1e999", "nan", "9" * 400, "ä\udcff", "a\nb", "../..", "\N{PILE OF POO}")


def speaks_to_a_person(outcome: Outcome) -> bool:
    said = outcome.err
    return outcome.code in exits.MEANINGS and said.endswith("\n") and not FOREIGN.search(said)


@contextmanager
def failing(path: Path, status: grpc.StatusCode, details: str) -> Iterator[None]:
    """A server that ends every call with a status that no method of ours has made."""

    class Handler(grpc.GenericRpcHandler):
        def service(self, call: Any) -> Any:
            def end(request: bytes, context: Any) -> bytes:
                context.abort(status, details)
                raise AssertionError("abort returned")

            return grpc.unary_unary_rpc_method_handler(end)

    path.parent.mkdir(parents=True, exist_ok=True)
    server = grpc.server(ThreadPoolExecutor(max_workers=2), handlers=[Handler()])
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize("status", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_of_the_protocol_is_said_in_words_for_people(
    wgmesh: Run, tmp_path: Path, status: grpc.StatusCode
) -> None:
    details = "Method not found! Deadline Exceeded; failed to connect to all addresses: errors.grpc (StatusCode)"
    with failing(tmp_path / "run" / "wg7" / "node.sock", status, details):
        for words in ASKING:
            outcome = wgmesh(*words.split())
            assert speaks_to_a_person(outcome), (words, outcome)
            assert outcome.code != exits.OK
            assert "the node" in outcome.err


@pytest.mark.parametrize(
    "status",
    [
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    ],
)
def test_of_a_call_that_a_hanging_node_has_not_answered_its_supervisor_has_the_word(
    wgmesh: Run, tmp_path: Path, status: grpc.StatusCode
) -> None:
    interface = own_interface()
    directory = tmp_path / "run" / interface
    hanging = ServiceReport("node", SILENT, 3.1)
    report = NodeReport(interface, 7, str(directory), str(directory / "node.sock"), "", (hanging,))
    with failing(directory / "node.sock", status, "Deadline Exceeded"), telling(report):
        for words in ASKING:
            outcome = wgmesh(*words.split(), "--interface", interface)
            assert speaks_to_a_person(outcome), (words, outcome)
            assert outcome.code == exits.RESTARTING
            assert "(node: not answering for 3 s)" in outcome.err


@pytest.mark.parametrize("words", ASKING)
def test_a_node_of_an_earlier_version_without_the_method_is_named_as_such(
    wgmesh: Run, tmp_path: Path, words: str
) -> None:
    path = tmp_path / "run" / "wg7" / "node.sock"
    path.parent.mkdir(parents=True)
    server = grpc.server(ThreadPoolExecutor(max_workers=2))  # without any method
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        outcome = wgmesh(*words.split())
    finally:
        server.stop(None).wait()

    assert speaks_to_a_person(outcome), outcome
    assert "another version" in outcome.err


def calls_with_garbage() -> Iterator[tuple[str, ...]]:
    """Each command with each of its flags and arguments, and something wrong behind it."""
    for row in CATALOGUE:
        command = import_module(f"wgmesh.cli.commands.{row.module}").command
        inner = command.commands if isinstance(command, click.Group) else {}
        for words, each in [((row.name,), command), *(((row.name, name), leaf) for name, leaf in inner.items())]:
            for parameter in each.params:
                if isinstance(parameter, click.Argument):
                    yield words
                elif not parameter.is_flag:
                    yield (*words, max(parameter.opts, key=len))
                else:
                    yield (*words, f"{max(parameter.opts, key=len)}=maybe")


@pytest.mark.parametrize("words", sorted(set(calls_with_garbage())), ids=" ".join)
def test_no_value_of_any_flag_is_answered_in_the_words_of_a_library(
    wgmesh: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """What is right after all must not start anything: `join` and `demo` are called with another mistake beside it."""
    monkeypatch.setenv("WGMESH_SECRET", GOOD_SECRET)
    monkeypatch.chdir(tmp_path)
    mistake = {"join": ("--mtu=0",), "demo": ("--nodes=1",), "ping": ("--count=1",)}.get(words[0], ())
    with served(FakeNode(), tmp_path / "run" / "wg7" / "node.sock"):
        for value in GARBAGE:
            outcome = wgmesh(*words, value, *mistake)
            assert outcome.code in exits.MEANINGS
            assert not FOREIGN.search(outcome.err), (value, outcome)
            assert not FOREIGN.search(outcome.out) or outcome.code == exits.OK


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("peers", "nonsense"),
        ("peers", "get"),
        ("peers", "get", "a", "b"),
        ("status", "--nonsense"),
        ("status", "--timeout"),
        ("test-peer",),
        ("completion",),
        ("completion", "tcsh"),
        ("help", "nonsense"),
        ("init",),
        ("join", "--config", "/proc/1/mem"),
        ("join", "--config", "/"),
        ("qr", "--secret", GOOD_SECRET, "--png", "/nonexistent/x.png"),
        ("qr", "--secret", GOOD_SECRET, "--png", "/"),
        ("init", "--secret", "--out", "/"),
        ("test-peer", "--peer", "nobody.invalid", "--secret", GOOD_SECRET),
        ("test-peer", "--peer", "[fe80::1%nosuch]:5", "--secret", GOOD_SECRET),
        ("test-peer", "--peer", "255.255.255.255:5", "--secret", GOOD_SECRET),
        ("status", "--socket-path", "/" + "x" * 300),
        ("status", "--runtime-dir", "/proc/self/mem"),
        ("status", "--interface", "x" * 99),
    ],
)
def test_every_mistake_is_answered_by_a_sentence(wgmesh: Run, words: tuple[str, ...]) -> None:
    outcome = wgmesh(*words)

    assert outcome.code not in (exits.OK, exits.INTERRUPTED)
    assert speaks_to_a_person(outcome), outcome


def test_a_full_disk_under_stdout_is_a_sentence() -> None:
    done = run("help", stdout="/dev/full")

    assert (done.returncode, done.stderr) == (
        exits.FAILED,
        "wgmesh: the program cannot go on: No space left on device\n",
    )


def test_a_bug_is_called_one_and_shows_its_place_to_those_who_ask() -> None:
    script = (
        "import sys; import wgmesh.cli.commands.version as version\n"
        "version.command.callback = lambda **options: {}['nothing']\n"
        "from wgmesh.cli.app import main; sys.exit(main(['version', '--json']))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_S)
    shown = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "WGMESH_TRACEBACK": "1"},
    )

    assert told.returncode == exits.FAILED
    assert told.stderr.startswith("wgmesh: this is a bug of wgmesh (KeyError); with WGMESH_TRACEBACK=1")
    assert told.stderr.count("\n") == 1
    assert '"exit_code": 1' in told.stdout
    assert "Traceback" in shown.stderr


def run(*words: str, stdout: str) -> subprocess.CompletedProcess[str]:
    with open(stdout, "w") as file:
        return subprocess.run(
            [sys.executable, "-m", "wgmesh.cli", *words],
            stdout=file,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
        )
