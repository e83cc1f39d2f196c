"""A table as a value, and its plain text form."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A title, the least width in characters that it has in plain text, and its rank: 1 is the last to be left out."""

    title: str
    width: int = 0
    rank: int = 1


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under columns; each row has as many cells as there are columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def fitted(self, width: int, gap: int) -> Table:
        """Leaves out the columns of the highest rank until the rest, `gap` characters apart, fits into `width`."""
        kept = list(range(len(self.columns)))
        while len(kept) > 1 and sum(self._content_width(index) for index in kept) + gap * (len(kept) - 1) > width:
            kept.remove(max(kept, key=lambda index: (self.columns[index].rank, index)))
        return Table(
            tuple(self.columns[index] for index in kept),
            tuple(tuple(row[index] for index in kept) for row in self.rows),
        )

    def plain(self) -> str:
        """Left-aligned columns, a line under the header, no trailing blanks."""
        widths = [max(column.width, self._content_width(index)) for index, column in enumerate(self.columns)]
        header = _line(tuple(column.title for column in self.columns), widths)
        return "\n".join((header, "-" * (sum(widths) + len(widths) - 1), *(_line(row, widths) for row in self.rows)))

    def _content_width(self, index: int) -> int:
        return max(len(self.columns[index].title), *(len(row[index]) for row in self.rows), 0)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
