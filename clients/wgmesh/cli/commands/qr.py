"""`wgmesh qr`: a secret that a camera can read."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import click
from wgmesh.cli import output
from wgmesh.cli.options import json_option, required_secret, secret_options
from wgmesh.cli.private_files import write_private
from wgmesh.cli.qr_text import (
    ASCII_MODULE,
    ASCII_ZONE_LEAST,
    QUIET_ZONE,
    ascii_blocks,
    ascii_zone,
    coloured,
    half_blocks,
)
from wgmesh.core.errors import InvalidSecret, MeshError

ERROR_CORRECTION = "m"  # restores 15 %: enough for a screen, and a smaller picture than the higher levels
PNG_SCALE = 8  # pixels a module: readable by a phone at arm's length

# Black on white whatever the colours of the terminal are.
_BLACK_ON_WHITE = "\x1b[38;5;16;48;5;231m"
_WHITE_ON_BLACK = "\x1b[38;5;231;48;5;16m"
_BLACK_GROUND, _WHITE_GROUND = "\x1b[48;5;16m", "\x1b[48;5;231m"
_RESET = "\x1b[0m"


@click.command("qr", short_help="Show a secret as a QR code.")
@secret_options
@click.option(
    "--png", type=click.Path(path_type=Path), metavar="FILE", help="Write a picture to a new file, mode 0600."
)
@click.option("--invert", is_flag=True, help="Swap dark and light.")
@json_option
def command(png: Path | None, invert: bool, as_json: bool, **options: Any) -> None:
    """Shows the secret's wgmesh:// URI as a QR code that a phone can scan."""
    import segno

    uri = required_secret(options).uri()
    try:
        code = segno.make(uri, error=ERROR_CORRECTION, micro=False)
    except ValueError:  # segno's DataOverflowError is one
        raise InvalidSecret("the secret is too long for a QR code; make one with `wgmesh init --secret`") from None
    if png is not None:
        picture = io.BytesIO()
        dark, light = ("white", "black") if invert else ("black", "white")
        code.save(picture, kind="png", scale=PNG_SCALE, border=QUIET_ZONE, dark=dark, light=light)
        write_private(png, picture.getvalue())
    if as_json:
        rows = ["".join(map(str, row)) for row in code.matrix]
        output.emit_json({"uri": uri, "png": str(png) if png is not None else None, "modules": rows})
    elif png is not None:
        output.emit(f"The QR code is in {png}")
    else:
        _draw(code.matrix, uri, invert)


def _draw(matrix: Any, uri: str, invert: bool) -> None:
    draws_blocks = output.speaks_utf8(os.environ)
    if not output.is_terminal():
        drawn = half_blocks(matrix, invert) if draws_blocks else ascii_blocks(matrix, invert)
        output.emit("\n".join((*drawn, uri)))
        return
    if not draws_blocks:
        _draw_ascii(matrix, uri, invert)
        return
    lines = half_blocks(matrix, invert=True)
    columns = shutil.get_terminal_size().columns
    if columns < len(lines[0]):
        raise _too_narrow(len(lines[0]), columns)
    colours = _WHITE_ON_BLACK if invert else _BLACK_ON_WHITE
    output.emit("\n".join((*(f"{colours}{line}{_RESET}" for line in lines), uri)))


def _draw_ascii(matrix: Any, uri: str, invert: bool) -> None:
    """For a terminal that is not UTF-8: blanks on a black or white ground."""
    columns = shutil.get_terminal_size().columns
    zone = ascii_zone(matrix, columns)
    if zone < ASCII_ZONE_LEAST:
        raise _too_narrow(ASCII_MODULE * (len(matrix[0]) + 2 * ASCII_ZONE_LEAST), columns)
    dark, light = (_WHITE_GROUND, _BLACK_GROUND) if invert else (_BLACK_GROUND, _WHITE_GROUND)
    output.emit("\n".join((*coloured(matrix, zone, dark, light, _RESET), uri)))


def _too_narrow(needed: int, columns: int) -> MeshError:
    return MeshError(f"the QR code needs {needed} columns and the terminal has {columns}; widen it or use --png FILE")
