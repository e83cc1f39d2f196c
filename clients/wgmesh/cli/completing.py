"""What the shells are told to complete. Nothing here prints an error: a person is in the middle of a word."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Any

import click

PEERS_WAIT_S = 0.5  # a node answers in milliseconds, and nobody waits longer for a word
HELP_WORD = "help"


def peer_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The host names and mesh addresses of the peers of the node that the command would ask; none without a node."""
    from wgmesh.cli.options import NodeOptions
    from wgmesh.cli.sockets import SocketChoice
    from wgmesh.core.errors import MeshError

    given: dict[str, Any] = ctx.params
    choice = SocketChoice(given.get("socket_path"), given.get("interface"), given.get("runtime_dir"))
    try:
        with NodeOptions(choice, PEERS_WAIT_S).connect() as connection:
            peers = connection.list_peers()
    except MeshError:
        return []
    words = [word for peer in peers for word in (peer.hostname, peer.mesh_ipv4) if word and " " not in word]
    return [word for word in words if word.lower().startswith(incomplete.lower())]


def without_help(environ: MutableMapping[str, str], variable: str) -> None:
    """Completes after `help` what is completed without it: the commands."""
    words = environ.get("COMP_WORDS", "").split()
    if words[1:2] != [HELP_WORD]:
        return
    position = environ.get("COMP_CWORD", "")
    if environ.get(variable, "").startswith("fish"):
        if position == HELP_WORD:
            return  # the word itself is not complete
    elif not position.isdigit() or int(position) < 2:
        return
    else:
        environ["COMP_CWORD"] = str(int(position) - 1)
    environ["COMP_WORDS"] = " ".join((words[0], *words[2:]))


def complete(program: click.Command, name: str, variable: str) -> int:
    """Answers the shell; where the words make no sense there is nothing to complete."""
    from click.shell_completion import shell_complete

    without_help(os.environ, variable)
    try:
        return shell_complete(program, {}, name, variable, os.environ[variable])
    except click.ClickException:
        return 0
