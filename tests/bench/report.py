"""Measurements as JSON and as a table beside upstream's numbers and our targets. Pure but for `Report.read`."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number. `upstream` and `target` are texts in the same unit, empty if there is none."""

    name: str
    value: float
    unit: str
    upstream: str = ""
    target: str = ""
    runs: tuple[float, ...] = ()
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target, of the form `<= 1.0` or `>= 1.0`, is reached; None without one.

        Raises ValueError for another form.
        """
        if not self.target:
            return None
        sign, _, bound = self.target.partition(" ")
        if sign not in _COMPARISONS:
            raise ValueError(f"a target is `<= NUMBER` or `>= NUMBER`, not {self.target!r}")
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

    def replace(self, name: str, results: Sequence[Measurement | Table], machine: str) -> None:
        """Puts a part in the place of what is known of it."""
        rows = tuple(each for each in results if isinstance(each, Measurement))
        tables = tuple(each for each in results if isinstance(each, Table))
        self._parts[name] = _Part(machine, rows, tables)

    def to_json(self) -> str:
        document = {
            name: {
                "machine": part.machine,
                "measurements": [asdict(row) | {"met": row.met} for row in part.rows],
                "tables": [asdict(table) for table in part.tables],
            }
            for name, part in self._in_order()
        }
        return json.dumps(document, indent=2) + "\n"

    def to_markdown(self) -> str:
        rows = [row for _, part in self._in_order() for row in part.rows]
        machines = " and on ".join(dict.fromkeys(part.machine for _, part in self._in_order()))
        tables = [line for _, part in self._in_order() for table in part.tables for line in _table(table)]
        return "\n".join([_HEAD.format(machine=machines), *map(_line, rows), *tables, _FOOT, *_notes(rows), ""])

    def _in_order(self) -> Iterator[tuple[str, _Part]]:
        return ((name, self._parts[name]) for name in self.order if name in self._parts)


_HEAD = """# Benchmarks

Written by `make bench` on {machine}.
Where the numbers are of a mesh, its nodes are real processes in network namespaces of this machine, so they include the
work of all its nodes on these processors; only the growth table is of a simulation. Upstream's numbers are of its Go
program in the same kind of namespaces on a machine with two processors and userspace WireGuard.

| measure | ours | target | upstream | met |
|---|---|---|---|---|"""

_FOOT = """
## How each was measured
"""


def _read(part: dict[str, Any]) -> _Part:
    rows = tuple(
        Measurement(**{each.name: row[each.name] for each in fields(Measurement)} | {"runs": tuple(row["runs"])})
        for row in part["measurements"]
    )
    tables = tuple(
        Table(table["name"], tuple(table["columns"]), tuple(map(tuple, table["rows"])), table["note"])
        for table in part["tables"]
    )
    return _Part(part["machine"], rows, tables)


def _table(table: Table) -> list[str]:
    head = [f"\n## {table.name}\n", f"| {' | '.join(table.columns)} |", f"|{'---|' * len(table.columns)}"]
    lines = [f"| {' | '.join('-' if cell is None else _number(cell) for cell in row)} |" for row in table.rows]
    return [*head, *lines, *([f"\n{table.note}"] if table.note else [])]


def _line(row: Measurement) -> str:
    met = "" if row.met is None else "yes" if row.met else "**no**"
    return f"| {row.name} | {_number(row.value)} {row.unit} | {row.target or '-'} | {row.upstream or '-'} | {met} |"


def _notes(rows: Sequence[Measurement]) -> list[str]:
    """Measurements that were made in one way share their note."""
    by_note: dict[str, list[str]] = {}
    for row in rows:
        if row.note:
            by_note.setdefault(row.note, []).append(row.name)
    return [f"- **{'; '.join(names)}**: {note}" for note, names in by_note.items()]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
