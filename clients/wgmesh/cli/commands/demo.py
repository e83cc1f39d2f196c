"""`wgmesh demo`: a whole mesh on this machine."""

from __future__ import annotations

import os

import click
from wgmesh.cli.app import SECRET_VARIABLE
from wgmesh.cli.options import json_option
from wgmesh.cli.parameters import WholeNumber

DEFAULT_NODES = 3
NODES_MAX = 50  # each node is a network namespace with its own processes


@click.command("demo", short_help="Start a whole mesh on this machine and watch it connect.")
@click.option("--nodes", type=WholeNumber(2, NODES_MAX), default=DEFAULT_NODES, show_default=True, metavar="N")
@click.option("--once", is_flag=True, help="End as soon as every node reaches every other.")
@click.option("--simulated", is_flag=True, help="Use the simulated network, which needs no root.")
@json_option
def command(nodes: int, once: bool, simulated: bool, as_json: bool) -> int:
    """Starts N real nodes in network namespaces and shows how they find each other, then cleans up.

    Needs root; without it, --simulated shows the same on a simulated network.
    """
    os.environ.pop(SECRET_VARIABLE, None)  # its nodes have a secret of their own; this one is nobody's business
    if simulated:
        from wgmesh.demo.simulated import run as run_simulated

        return run_simulated(nodes, once, as_json)
    from wgmesh.demo.live import run

    return run(nodes, once, as_json)
