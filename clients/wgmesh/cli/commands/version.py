"""`wgmesh version`."""

from __future__ import annotations

import click
from wgmesh.cli.options import json_option
from wgmesh.cli.output import emit, emit_json
from wgmesh.cli.versions import version_line, version_value


@click.command("version", short_help="Print the version.")
@json_option
def command(as_json: bool) -> None:
    """Prints the version of the program; with --json also those of its protocols."""
    if as_json:
        emit_json(version_value())
    else:
        emit(version_line())
