"""Which of several nodes a command asks: the same for every command that asks one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

import click
import pytest
from support.command_line import Run
from support.doubles.fake_node import ALICE_KEY, ALICE_TEXT, FakeNode, served
from wgmesh.cli import exits
from wgmesh.cli.catalogue import CATALOGUE
from wgmesh.v1 import peer_pb2

QUESTIONS = {
    ("status",): (),
    ("plan",): (),
    ("down",): ("--wait", "0"),
    ("ping",): ("alice", "--count", "1"),
    ("netcheck",): (),
    ("reload",): (),
    ("test-peer",): ("--peer", "192.0.2.7"),
    ("peers", "list"): (),
    ("peers", "count"): (),
    ("peers", "get"): ("alice",),
    ("peers", "bans"): (),
    ("peers", "ban"): ("alice",),
    ("peers", "unban"): (ALICE_TEXT,),
}
PLACES = ("flag", "variable", "interface")


class Nodes:
    """Three nodes, each at a place that one way of naming leads to."""

    def __init__(self, directory: Path) -> None:
        self.runtime_dir = directory / "run"
        self.paths = {name: directory / name / "node.sock" for name in ("flag", "variable")}
        self.paths["interface"] = self.runtime_dir / "wg7" / "node.sock"
        self.nodes = {name: FakeNode(bans=[peer_pb2.Ban(public_key=ALICE_KEY)] * len(PLACES)) for name in PLACES}

    def asked(self) -> list[str]:
        """The places of the nodes that were asked since the last call."""
        asked = [name for name, node in self.nodes.items() if node.asked]
        for node in self.nodes.values():
            node.asked.clear()
        return asked


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    made = Nodes(tmp_path)
    with ExitStack() as stack:
        for name, path in made.paths.items():
            stack.enter_context(served(made.nodes[name], path))
        yield made


def commands_that_ask() -> set[tuple[str, ...]]:
    """Every command with `--socket-path`, as it is typed. `join` makes the socket, and does not look for one."""
    found = set()
    for row in CATALOGUE:
        if row.name == "join":
            continue
        command = import_module(f"wgmesh.cli.commands.{row.module}").command
        inner = command.commands if isinstance(command, click.Group) else {}
        for words, each in [((row.name,), command), *(((row.name, name), each) for name, each in inner.items())]:
            if any(parameter.name == "socket_path" for parameter in each.params):
                found.add(words)
    return found


def test_these_are_all_the_commands_that_ask_a_node() -> None:
    assert commands_that_ask() == QUESTIONS.keys()


@pytest.mark.parametrize("command", QUESTIONS, ids=" ".join)
def test_a_flag_comes_before_the_variable_that_before_the_interface_and_that_before_the_only_node(
    wgmesh: Run, nodes: Nodes, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*command, *QUESTIONS[command])
    by_flag = ("--socket-path", nodes.paths["flag"])
    by_interface = ("--runtime-dir", nodes.runtime_dir, "--interface", "wg7")

    assert wgmesh(*words).code == exits.OK
    assert nodes.asked() == ["interface"]  # the only one in the directory of nodes
    assert wgmesh(*words, *by_interface).code == exits.OK
    assert nodes.asked() == ["interface"]
    monkeypatch.setenv("WGMESH_SOCKET", str(nodes.paths["variable"]))
    assert wgmesh(*words, *by_interface).code == exits.OK
    assert nodes.asked() == ["variable"]
    assert wgmesh(*words, *by_interface, *by_flag).code == exits.OK
    assert nodes.asked() == ["flag"]
