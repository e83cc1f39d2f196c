"""`wgmesh down`: the end of a running node."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import click
from wgmesh.cli import exits
from wgmesh.cli.options import json_option, node_of, node_options
from wgmesh.cli.output import emit, emit_json
from wgmesh.cli.parameters import Seconds
from wgmesh.cli.process_end import Watched, watched
from wgmesh.core.errors import MeshError

WAIT_S = 15.0  # the supervisor gives each process 8 s; two that hang take longer than most want to wait
LOOK_S = 0.05
LAST_PROCESS = "wgmesh"  # what the supervisor calls itself


@click.command("down", short_help="Stop a running node.")
@click.option(
    "--wait",
    type=Seconds(0, 3600),
    default=WAIT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for its end; 0 does not wait.",
)
@node_options
@json_option
def command(wait: float, as_json: bool, **options: Any) -> int:
    """Stops a running node in order, as SIGTERM does, and waits until it is gone.

    Its device and routes are removed, unless it runs with --keep-interface. Who may use the control socket may stop the
    node: root, and the members of the group wgmesh.
    """
    node = node_of(options)
    with node.connect() as connection:
        path, pid = node.path(), connection.stop()
    with watched(pid, LAST_PROCESS) as process:
        is_gone = _is_gone(process, path, wait)
    if not is_gone and wait:
        raise MeshError(
            f"the node was asked to stop and is not gone after {wait:g} s (pid {pid}); see its log, or wait for longer"
            " with --wait"
        )
    if as_json:
        emit_json({"socket": str(path), "pid": pid, "stopped": is_gone})
    else:
        emit("Stopped" if is_gone else "Asked to stop")
    return exits.OK


def _is_gone(process: Watched | None, path: Path, wait_s: float) -> bool:
    """Whether the last process of the node ends in time, or its socket vanishes where that process is out of sight."""
    if process is not None:
        return process.ends_within(wait_s)
    ends_at = time.monotonic() + wait_s
    while os.path.lexists(path):
        if time.monotonic() >= ends_at:
            return False
        time.sleep(LOOK_S)
    return True
