"""Measurements as JSON and as a table beside upstream's numbers and our targets. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
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


def document(measurements: Sequence[Measurement], machine: str) -> dict[str, Any]:
    """The JSON file."""
    rows = [asdict(row) | {"met": row.met} for row in measurements]
    return {"machine": machine, "measurements": rows}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def markdown(measurements: Sequence[Measurement], machine: str) -> str:
    """The table."""
    rows = [
        f"| {row.name} | {_number(row.value)} {row.unit} | {row.target or '-'} | {row.upstream or '-'} |"
        f" {'' if row.met is None else 'yes' if row.met else '**no**'} |"
        for row in measurements
    ]
    notes = [f"- **{row.name}**: {row.note}" for row in measurements if row.note]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"Written by `make bench` on {machine}.",
            "All nodes are real processes in network namespaces of this machine, so every number of a mesh includes",
            "the work of all its nodes on these processors. Upstream's numbers are of its Go program in the same kind",
            "of namespaces on a machine with two processors and userspace WireGuard.",
            "",
            "| measure | ours | target | upstream | met |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "## How each was measured",
            "",
            *notes,
            "",
        ]
    )
