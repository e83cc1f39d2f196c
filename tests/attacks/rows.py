"""The attacks that tests carry out, and what came of each: the rows of docs/reference/attacks.md.

A test is an attack by its mark, `@pytest.mark.attack("a member", "speaks in the name of another")`. What it measured it
notes with the fixture `came_of`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

MARK = "attack"
CAME_OF = "came of"
ATTACKERS = (
    "somebody without the secret",
    "a member",
    "a server that a node asks",
    "a program in a process of a node",
    "another user of the machine",
    "a file that lies in the way",
)


@dataclass(frozen=True, slots=True)
class Attack:
    """Who tries what, and the test that does it. `test` is a path and a function, without parameters."""

    who: str
    tries: str
    test: str


@dataclass(slots=True)
class Outcome:
    """What came of one attack in all its forms: of each parameter one."""

    attack: Attack
    forms: int = 0
    failed: int = 0
    notes: list[str] = field(default_factory=list)

    def count(self, is_passed: bool) -> None:
        self.forms += 1
        self.failed += not is_passed

    def note(self, notes: Iterable[str]) -> None:
        self.notes += [note for note in notes if note not in self.notes]


class Watch:
    """A plugin for pytest that follows the attacks of one run."""

    def __init__(self) -> None:
        self._attacks: dict[str, Attack] = {}
        self.outcomes: dict[Attack, Outcome] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            mark = item.get_closest_marker(MARK)
            if mark is not None:
                who, tries = mark.args
                self._attacks[item.nodeid] = Attack(who, tries, item.nodeid.partition("[")[0])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        attack = self._attacks.get(report.nodeid)
        if attack is None:
            return
        outcome = self.outcomes.setdefault(attack, Outcome(attack))
        if report.when == "call" or report.failed:
            outcome.count(report.passed)
        if report.when == "teardown":  # what fixtures have noted by then belongs to it too
            outcome.note(str(value) for name, value in report.user_properties if name == CAME_OF)


def marked(root: Path) -> Iterator[Attack]:
    """The attacks that the sources of the tests below `root` hold, without running any."""
    for path in sorted(root.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                where = f"{path.relative_to(root.parent)}::{node.name}"
                yield from (Attack(*each, where) for each in _marks(node.decorator_list))


def _marks(decorators: Sequence[ast.expr]) -> Iterator[tuple[str, str]]:
    for each in decorators:
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == MARK:
            who, tries = (ast.literal_eval(argument) for argument in each.args)
            yield who, tries
