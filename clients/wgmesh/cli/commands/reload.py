"""`wgmesh reload`."""

from __future__ import annotations

from typing import Any

import click
from wgmesh.cli import exits
from wgmesh.cli.options import json_option, node_of, node_options
from wgmesh.cli.output import emit, emit_json, say


@click.command("reload", short_help="Make a running node read its reload file again.")
@node_options
@json_option
def command(as_json: bool, **options: Any) -> int:
    """Makes the running node read STATE-DIR/INTERFACE.reload and apply what can change while it runs.

    Ends with 1 if the file has a mistake: then nothing of it is applied, and each mistake is told by its line.
    """
    with node_of(options).connect() as connection:
        outcome = connection.reload()
    changes, problems = list(outcome.changes), list(outcome.problems)
    if as_json:
        emit_json({"changes": changes, "problems": problems})
    else:
        if changes or not problems:
            emit("\n".join(changes) or "Nothing changed")
        for problem in problems:
            say(f"wgmesh: {problem}")
    return exits.FAILED if problems else exits.OK
