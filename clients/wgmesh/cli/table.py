"""A table as a value, and its plain text form."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A title and the least width, in characters, that it has in plain text."""

    title: str
    width: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under columns; each row has as many cells as there are columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def plain(self) -> str:
        """Left-aligned columns, a line under the header, no trailing blanks."""
        widths = [
            max(column.width, len(column.title), *(len(row[index]) for row in self.rows))
            if self.rows
            else max(column.width, len(column.title))
            for index, column in enumerate(self.columns)
        ]
        header = _line(tuple(column.title for column in self.columns), widths)
        return "\n".join((header, "-" * (sum(widths) + len(widths) - 1), *(_line(row, widths) for row in self.rows)))


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
