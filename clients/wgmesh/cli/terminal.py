"""Tables in colour. The only module that imports rich, which costs 100 ms: load it only for a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text
from wgmesh.cli.table import Table

_STYLES = {"connected": "green", "connecting": "yellow", "stale": "red", "refused": "red"}


def print_table(table: Table) -> None:
    """Prints a table to the terminal, folded to its width."""
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        drawn.add_column(column.title, overflow="fold", justify="left")
    for row in table.rows:
        drawn.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(drawn)
