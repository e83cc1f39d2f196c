"""`wgmesh plan`."""

from __future__ import annotations

from typing import Any

import click
from wgmesh.cli import exits
from wgmesh.cli.options import json_option, node_of, node_options
from wgmesh.cli.output import emit, emit_json, say


@click.command("plan", short_help="Show what a running node would do to its device next, and why.")
@node_options
@json_option
def command(as_json: bool, **options: Any) -> int:
    """Shows what the next turn of the running node would do to its device, and why. Changes nothing.

    Ends with 0 whether there is something to do or not, and with 1 if the node is not ready or its last turn failed.
    """
    from wgmesh.cli.plan_text import plan_text, plan_value

    with node_of(options).connect() as connection:
        plan = connection.plan_turn()
    if as_json:
        emit_json(plan_value(plan))
    else:
        for problem in plan.problems:
            say(f"wgmesh: {problem}")
        emit(plan_text(plan))
    return exits.FAILED if plan.problems else exits.OK
