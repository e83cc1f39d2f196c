"""A QR code as lines of half blocks. Pure.

One character holds two modules, one above the other, so that modules come out about square.
"""

from __future__ import annotations

from collections.abc import Sequence

QUIET_ZONE = 4  # ISO/IEC 18004: four light modules around the code
Matrix = Sequence[Sequence[int]]

_BLOCKS = {(False, False): " ", (True, False): "\N{UPPER HALF BLOCK}", (False, True): "\N{LOWER HALF BLOCK}"}
_FULL = "\N{FULL BLOCK}"


def with_quiet_zone(matrix: Matrix) -> list[list[bool]]:
    """Adds the light border; True is a dark module."""
    width = len(matrix[0]) + 2 * QUIET_ZONE
    border = [[False] * width for _ in range(QUIET_ZONE)]
    side = [False] * QUIET_ZONE
    return [*border, *([*side, *(bool(module) for module in row), *side] for row in matrix), *border]


def half_blocks(matrix: Matrix, invert: bool = False) -> list[str]:
    """Draws light modules as blocks, which is right on a dark terminal; `invert` draws the dark ones."""
    rows = [[module is invert for module in row] for row in with_quiet_zone(matrix)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    return [
        "".join(_BLOCKS.get((upper, lower), _FULL) for upper, lower in zip(top, bottom, strict=True))
        for top, bottom in zip(rows[::2], rows[1::2], strict=True)
    ]
