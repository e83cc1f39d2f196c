"""What the demo shows: one row a node, as a table, as lines or as JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("NODE", "MESH IP", "REACHES", "PATH", "HANDSHAKE", "RTT")


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node at one moment. `rtt_s` is the median over the peers that answered."""

    node: str
    mesh_ipv4: str = ""
    reached_count: int = 0
    peer_count: int = 0
    paths: tuple[str, ...] = ()
    handshake_age_s: float | None = None
    rtt_s: float | None = None

    @property
    def complete(self) -> bool:
        """Whether all peers answer pings, and the node itself knows by which path."""
        knows_paths = bool(self.paths) and self.handshake_age_s is not None
        return bool(self.mesh_ipv4) and self.reached_count == self.peer_count and (knows_paths or not self.peer_count)


def cells(row: NodeRow) -> tuple[str, ...]:
    """The text of a row."""
    return (
        row.node,
        row.mesh_ipv4 or "starting",
        f"{row.reached_count}/{row.peer_count}",
        ", ".join(row.paths) or "-",
        "-" if row.handshake_age_s is None else f"{row.handshake_age_s:.1f} s ago",
        "-" if row.rtt_s is None else f"{row.rtt_s * 1000:.2f} ms",
    )


def lines(rows: Sequence[NodeRow]) -> list[str]:
    """The rows as text with a heading, for a pipe or a log."""
    content = [COLUMNS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in content) for column in range(len(COLUMNS))]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in content]


def rich_table(rows: Sequence[NodeRow], title: str) -> Table:
    """The rows for a terminal."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in COLUMNS:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*cells(row), style="green" if row.complete else "yellow")
    return table


def document(rows: Sequence[NodeRow], timings: Mapping[str, float], simulated: bool) -> dict[str, Any]:
    """The result as JSON: `timings` are seconds by name."""
    return {
        "simulated": simulated,
        "complete": all(row.complete for row in rows),
        "timings_s": {name: round(value, 3) for name, value in timings.items()},
        "nodes": [asdict(row) for row in rows],
    }
