"""Measurements as JSON and as a table beside upstream's numbers and our targets. Pure but for `Report.read`."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {"<": operator.lt, "<=": operator.le, ">=": operator.ge}


class Ran(StrEnum):
    """What was measured."""

    NODES = "real nodes"
    PROGRAM = "the program"
    CODE = "in process"
    SIMULATION = "simulation"


@dataclass(frozen=True, slots=True)
class Upstream:
    """A number of upstream's program, empty if there is none, and what it is of."""

    text: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number. `target` is a text in the same unit, empty if there is none."""

    name: str
    value: float
    unit: str
    ran: Ran
    upstream: Upstream = Upstream()
    target: str = ""
    runs: tuple[float, ...] = ()
    """The single values behind it: of several runs, or of several nodes."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target, of the form `< 1.0`, `<= 1.0` or `>= 1.0`, is reached; None without one.

        Raises ValueError for another form.
        """
        if not self.target:
            return None
        sign, _, bound = self.target.partition(" ")
        if sign not in _COMPARISONS:
            raise ValueError(f"a target is `< NUMBER`, `<= NUMBER` or `>= NUMBER`, not {self.target!r}")
        return _COMPARISONS[sign](self.value, float(bound))


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers that belong beside each other, such as those of one thing at several sizes. None is no result."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[float | None, ...], ...]
    note: str = ""


@dataclass(slots=True)
class _Part:
    machine: str
    rows: tuple[Measurement, ...]
    tables: tuple[Table, ...] = ()
    measured: str = ""
    """When, and of which commit."""


@dataclass(slots=True)
class Report:
    """All that was ever measured, newest of each part, in the order of `order`."""

    order: tuple[str, ...]
    _parts: dict[str, _Part] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, order: tuple[str, ...]) -> Report:
        """Reads what earlier runs have written, if anything. Parts that are measured no more are dropped."""
        report = cls(order)
        if path.exists():
            for name, part in json.loads(path.read_text()).items():
                if name in order:
                    report._parts[name] = _read(part)
        return report

    def replace(self, name: str, results: Sequence[Measurement | Table], machine: str, measured: str = "") -> None:
        """Puts a part in the place of what is known of it. `measured` says when, and of which commit."""
        rows = tuple(each for each in results if isinstance(each, Measurement))
        tables = tuple(each for each in results if isinstance(each, Table))
        self._parts[name] = _Part(machine, rows, tables, measured)

    def to_json(self) -> str:
        document = {
            name: {
                "machine": part.machine,
                "measured": part.measured,
                "measurements": [asdict(row) | {"met": row.met} for row in part.rows],
                "tables": [asdict(table) for table in part.tables],
            }
            for name, part in self._in_order()
        }
        return json.dumps(document, indent=2) + "\n"

    def to_markdown(self, before: Report | None = None) -> str:
        """The document. `before` is what this bench measured of an earlier version."""
        rows = [row for _, part in self._in_order() for row in part.rows]
        machines = " and on ".join(dict.fromkeys(part.machine for _, part in self._in_order()))
        tables = [line for _, part in self._in_order() for table in part.tables for line in _table(table)]
        ours = _notes((row.name, row.note) for row in rows)
        upstreams = _notes((f"{row.name}: {row.upstream.text}", row.upstream.note) for row in rows)
        head = _HEAD.format(machine=machines)
        parts = [f"| {name} | {part.measured or 'not noted'} |" for name, part in self._in_order()]
        compared = [] if before is None else _comparison(before, rows)
        return "\n".join(
            [head, *map(_line, rows), *compared, *tables, _WHEN, *parts, _HOW, *ours, _UPSTREAM, *upstreams, ""]
        )

    def _in_order(self) -> Iterator[tuple[str, _Part]]:
        return ((name, self._parts[name]) for name in self.order if name in self._parts)


_HEAD = f"""# Benchmarks

Written by `make bench` on {{machine}}.

| what ran | |
|---|---|
| {Ran.NODES} | Whole nodes in network namespaces of one machine. Times include the work of all of them. |
| {Ran.PROGRAM} | The program `wgmesh`, from its start to its end. |
| {Ran.CODE} | A part of the program, called in one process. There is no network and no other process. |
| {Ran.SIMULATION} | Each node's discovery is the real one. Network, tunnels and time are simulated, in one process. |

In brackets: the least and the largest value, where there are several.

| measure | what ran | ours | target | met | upstream |
|---|---|---|---|---|---|"""

_BEFORE = """
## Before and after discovery was divided into rooms

Before is commit db60956, measured by this bench on this machine on the same day (`benchmarks-before.json`).

| measure | before | now |
|---|---|---|"""

_WHEN = """
## When each part was measured

| part | |
|---|---|"""

_HOW = """
## How each was measured
"""

_UPSTREAM = """
## Where upstream's numbers come from

They are of upstream's Go program, in the same kind of namespaces on a machine with two processors and userspace
WireGuard. They were measured once, when this project began; `make bench` does not repeat them. A dash means that
nothing was measured that could stand beside ours.
"""


def _read(part: dict[str, Any]) -> _Part:
    rows = tuple(
        Measurement(
            **{each.name: row[each.name] for each in fields(Measurement)}
            | {"ran": Ran(row["ran"]), "upstream": Upstream(**row["upstream"]), "runs": tuple(row["runs"])}
        )
        for row in part["measurements"]
    )
    tables = tuple(
        Table(table["name"], tuple(table["columns"]), tuple(map(tuple, table["rows"])), table["note"])
        for table in part["tables"]
    )
    return _Part(part["machine"], rows, tables, part.get("measured", ""))


def _table(table: Table) -> list[str]:
    head = [f"\n## {table.name}\n", f"| {' | '.join(table.columns)} |", f"|{'---|' * len(table.columns)}"]
    lines = [f"| {' | '.join('-' if cell is None else _number(cell) for cell in row)} |" for row in table.rows]
    return [*head, *lines, *([f"\n{table.note}"] if table.note else [])]


def _comparison(before: Report, rows: Sequence[Measurement]) -> list[str]:
    earlier = {row.name: row for _, part in before._in_order() for row in part.rows}
    lines = [f"| {row.name} | {_value(earlier[row.name])} | {_value(row)} |" for row in rows if row.name in earlier]
    return [_BEFORE, *lines]


def _line(row: Measurement) -> str:
    met = "" if row.met is None else "yes" if row.met else "**no**"
    return f"| {row.name} | {row.ran} | {_value(row)} | {row.target or '-'} | {met} | {row.upstream.text or '-'} |"


def _value(row: Measurement) -> str:
    spread = f" ({_number(min(row.runs))} to {_number(max(row.runs))})" if len(row.runs) > 1 else ""
    return f"{_number(row.value)} {row.unit}{spread}"


def _notes(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Names and notes. What was measured in one way shares its note."""
    by_note: dict[str, list[str]] = {}
    for name, note in rows:
        if note:
            by_note.setdefault(note, []).append(name)
    return [f"- **{'; '.join(names)}**: {note}" for note, names in by_note.items()]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
