"""Tables in colour. The only module that imports rich, which costs 100 ms: load it only for a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text
from wgmesh.cli.table import Table

COLUMN_GAP = 2
_STYLES = {"connected": "green", "connecting": "yellow", "stale": "red", "refused": "red"}


def print_table(table: Table) -> list[str]:
    """Prints the columns that fit the terminal, one line a row, and returns the titles of those that are left out."""
    console = Console(highlight=False)
    fitted = table.fitted(console.width, gap=COLUMN_GAP)
    drawn = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, COLUMN_GAP - 1, 0, 0), show_edge=False)
    for column in fitted.columns:
        drawn.add_column(column.title, no_wrap=True, overflow="ellipsis")
    for row in fitted.rows:
        drawn.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console.print(drawn)
    return [column.title for column in table.columns if column not in fitted.columns]
