"""`wgmesh completion`."""

from __future__ import annotations

from typing import Literal

import click
from wgmesh.cli.options import json_option
from wgmesh.cli.output import emit, emit_json

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", short_help="Print the completion script for bash, zsh or fish.")
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
def command(shell: Literal["bash", "zsh", "fish"], as_json: bool) -> None:
    """Prints the completion script for a shell.

    For bash: `wgmesh completion bash > /etc/bash_completion.d/wgmesh`.
    """
    from click.shell_completion import ShellComplete, get_completion_class
    from wgmesh.cli.app import COMPLETION_VARIABLE
    from wgmesh.cli.program import PROGRAM, program

    kind = get_completion_class(shell)
    assert kind is not None  # click has all of SHELLS
    # The base class's method, because the one for bash starts a bash to ask for its version.
    script = ShellComplete.source(kind(program, {}, PROGRAM, COMPLETION_VARIABLE))
    if as_json:
        emit_json({"shell": shell, "script": script})
    else:
        emit(script)
