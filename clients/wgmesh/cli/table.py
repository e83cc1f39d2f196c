"""A table as a value, and its plain text form."""

from __future__ import annotations

from dataclasses import dataclass

from wgmesh.cli.units import shortened


@dataclass(frozen=True, slots=True)
class Column:
    """A title, the least width in characters that it has in plain text, and its rank: 1 is the last to be left out.

    Where room is short the cells may be cut to `least` characters; 0 means that they are shown whole or not at all.
    """

    title: str
    width: int = 0
    rank: int = 1
    least: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under columns; each row has as many cells as there are columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]

    def fitted(self, width: int, gap: int) -> Table:
        """Leaves out the columns of the highest rank until the rest, `gap` characters apart, fits into `width`.

        What is left is cut where it may be, and the last column where it must be.
        """
        kept = list(range(len(self.columns)))
        while len(kept) > 1 and sum(map(self._least_width, kept)) + gap * (len(kept) - 1) > width:
            kept.remove(max(kept, key=lambda index: (self.columns[index].rank, index)))
        widths = self._widths(kept, width - gap * (len(kept) - 1))
        return Table(
            tuple(self.columns[index] for index in kept),
            tuple(tuple(shortened(row[index], widths[index]) for index in kept) for row in self.rows),
        )

    def _widths(self, kept: list[int], room: int) -> dict[int, int]:
        """How wide each column may be: the room that is left goes to those of the lowest rank first."""
        if len(kept) == 1:
            return {kept[0]: max(room, 1)}
        widths = {index: self._least_width(index) for index in kept}
        spare = room - sum(widths.values())
        for index in sorted(kept, key=lambda index: self.columns[index].rank):
            more = min(spare, self._content_width(index) - widths[index])
            widths[index] += more
            spare -= more
        return widths

    def _least_width(self, index: int) -> int:
        column, content = self.columns[index], self._content_width(index)
        return min(content, max(column.least, len(column.title))) if column.least else content

    def plain(self) -> str:
        """Left-aligned columns, a line under the header, no trailing blanks."""
        widths = [max(column.width, self._content_width(index)) for index, column in enumerate(self.columns)]
        header = _line(tuple(column.title for column in self.columns), widths)
        return "\n".join((header, "-" * (sum(widths) + len(widths) - 1), *(_line(row, widths) for row in self.rows)))

    def _content_width(self, index: int) -> int:
        return max(len(self.columns[index].title), *(len(row[index]) for row in self.rows), 0)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
