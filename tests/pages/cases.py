"""Tests that carry out a case of some kind, and what was observed: the rows of a page of docs/reference.

A test is a case by its mark, `@pytest.mark.attack("a member", "speaks in the name of another")`. What it observed it
notes with a fixture of tests/conftest.py.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Case:
    """A group, what happens, and the test that makes it happen. `test` is a path and a function, without parameters."""

    group: str
    what: str
    test: str


@dataclass(slots=True)
class Outcome:
    """What was observed of one case in all its forms: of each parameter one."""

    case: Case
    forms: int = 0
    failed: int = 0
    notes: list[object] = field(default_factory=list)

    def count(self, is_passed: bool) -> None:
        self.forms += 1
        self.failed += not is_passed

    def note(self, notes: Iterable[object]) -> None:
        self.notes += [note for note in notes if note not in self.notes]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of one kind of cases.

    `cells` gives the middle columns of a row. `introduction` has a place for `{run}`.
    """

    mark: str
    groups: tuple[str, ...]
    heading: str
    introduction: str
    columns: tuple[str, ...]
    cells: Callable[[Sequence[object]], tuple[str, ...]]

    @property
    def file_name(self) -> str:
        return f"{self.mark}s.md"

    def text(self, outcomes: Iterable[Outcome], run: str) -> str:
        """Returns the page. `run` says when and on what this was seen."""
        by_group: dict[str, list[Outcome]] = {group: [] for group in self.groups}
        for outcome in outcomes:
            by_group[outcome.case.group].append(outcome)
        columns = (*self.columns, "shown by")
        head = f"| {' | '.join(columns)} |\n| {' | '.join('---' for _ in columns)} |"
        parts = [self.introduction.format(run=run)]
        for group, rows in by_group.items():
            if rows:
                lines = "\n".join(self._row(each) for each in sorted(rows, key=lambda each: each.case.test))
                parts.append(f"## {self.heading.format(group)}\n\n{head}\n{lines}\n")
        return "\n".join(parts)

    def _row(self, outcome: Outcome) -> str:
        forms = f", in {outcome.forms} forms" if outcome.forms > 1 else ""
        cells = (f"{outcome.case.what}{forms}", *self.cells(outcome.notes), f"`{outcome.case.test}`")
        return f"| {' | '.join(cells)} |"


def has_row(case: Case, text: str) -> bool:
    """Whether a page has the row of this case."""
    return any(line.startswith(f"| {case.what}") and line.endswith(f"| `{case.test}` |") for line in text.splitlines())


class Watch:
    """A plugin for pytest that follows the cases of one run. What tests note is a property of the mark's name."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._cases: dict[str, Case] = {}
        self.outcomes: dict[Case, Outcome] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            mark = item.get_closest_marker(self._mark)
            if mark is not None:
                group, what = mark.args
                self._cases[item.nodeid] = Case(group, what, item.nodeid.partition("[")[0])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        case = self._cases.get(report.nodeid)
        if case is None:
            return
        outcome = self.outcomes.setdefault(case, Outcome(case))
        if report.when == "call" or report.failed:
            outcome.count(report.passed)
        if report.when == "teardown":  # what fixtures have noted by then belongs to it too
            outcome.note(value for name, value in report.user_properties if name == self._mark)


def marked(root: Path, mark: str) -> Iterator[Case]:
    """The cases that the sources of the tests below `root` hold, without running any."""
    for path in sorted(root.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                where = f"{path.relative_to(root.parent)}::{node.name}"
                yield from (Case(*each, where) for each in _marks(node.decorator_list, mark))


def _marks(decorators: Sequence[ast.expr], mark: str) -> Iterator[tuple[str, str]]:
    for each in decorators:
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == mark:
            group, what = (ast.literal_eval(argument) for argument in each.args)
            yield group, what
