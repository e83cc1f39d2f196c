"""A QR code as lines of text: half blocks, or ASCII where the terminal knows nothing else. Pure.

A half block holds two modules, one above the other, and ASCII takes two characters for one module, so that modules come
out about square.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

QUIET_ZONE = 4  # ISO/IEC 18004: four light modules around the code
ASCII_MODULE = 2  # characters, which are about twice as high as wide
ASCII_ZONE_LEAST = 2  # scanners find a code with half of the border; a secret's code fits into 80 columns with three
Matrix = Sequence[Sequence[int]]

_BLOCKS = {(False, False): " ", (True, False): "\N{UPPER HALF BLOCK}", (False, True): "\N{LOWER HALF BLOCK}"}
_FULL = "\N{FULL BLOCK}"


def with_quiet_zone(matrix: Matrix, zone: int = QUIET_ZONE) -> list[list[bool]]:
    """Adds the light border; True is a dark module."""
    width = len(matrix[0]) + 2 * zone
    border = [[False] * width for _ in range(zone)]
    side = [False] * zone
    return [*border, *([*side, *(bool(module) for module in row), *side] for row in matrix), *border]


def ascii_blocks(matrix: Matrix, invert: bool = False) -> list[str]:
    """As half_blocks, with `##` for a block and two blanks for none."""
    return ["".join("##" if module is invert else "  " for module in row) for row in with_quiet_zone(matrix)]


def ascii_zone(matrix: Matrix, columns: int) -> int:
    """The widest border, up to the right one, that fits into `columns`; below ASCII_ZONE_LEAST nothing does."""
    return min(QUIET_ZONE, (columns // ASCII_MODULE - len(matrix[0])) // 2)


def coloured(matrix: Matrix, zone: int, dark: str, light: str, reset: str) -> list[str]:
    """Draws with blanks alone, whose ground is dark or light; the colours are escape sequences."""
    lines = []
    for row in with_quiet_zone(matrix, zone):
        runs = ((is_dark, len(list(run))) for is_dark, run in groupby(row))
        lines.append(
            "".join(f"{dark if is_dark else light}{' ' * ASCII_MODULE * count}" for is_dark, count in runs) + reset
        )
    return lines


def half_blocks(matrix: Matrix, invert: bool = False) -> list[str]:
    """Draws light modules as blocks, which is right on a dark terminal; `invert` draws the dark ones."""
    rows = [[module is invert for module in row] for row in with_quiet_zone(matrix)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    return [
        "".join(_BLOCKS.get((upper, lower), _FULL) for upper, lower in zip(top, bottom, strict=True))
        for top, bottom in zip(rows[::2], rows[1::2], strict=True)
    ]
