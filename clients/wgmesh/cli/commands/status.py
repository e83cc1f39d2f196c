"""`wgmesh status`: the running node, or what a secret derives to."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click
from wgmesh.cli import exits
from wgmesh.cli.health_code import code_of
from wgmesh.cli.interruption import ended_by_ctrl_c
from wgmesh.cli.options import (
    NodeOptions,
    json_option,
    node_of,
    node_options,
    required_secret,
    secret_options,
)
from wgmesh.cli.output import emit, emit_json, redrawn
from wgmesh.cli.sockets import Presence, SocketChoice, presence_of_node
from wgmesh.runtime.node_report import RESTARTING, SILENT, STARTING

if TYPE_CHECKING:
    from wgmesh.v1 import node_service_pb2 as node_pb2

WATCH_PERIOD_S = 2.0
DEFAULT_INTERFACE = "wg0"
SERVICE_WORDS = {Presence.ANSWERS: "active", Presence.ABSENT: "inactive", Presence.SILENT: "inactive"}


@click.command("status", short_help="Show a running node, or what a secret derives to.")
@secret_options
@click.option("--mesh-subnet", metavar="CIDR", help="With a secret: the custom IPv4 network of the mesh.")
@click.option("--watch", is_flag=True, help="Show it again every two seconds until Ctrl-C.")
@node_options
@json_option
def command(mesh_subnet: str | None, watch: bool, as_json: bool, **options: Any) -> int:
    """Shows the running node: whether it can do its work, addresses, peers, discovery, NAT, warnings.

    Ends with 0 if the node can do its work, with 6 if it cannot, with 7 while a process of it starts, and with 8 while
    one is being replaced.

    With --secret or --secret-file it asks nobody and shows what the secret derives to.
    """
    if options["secret"] is not None or options["secret_file"] is not None:
        _show_derived(mesh_subnet, as_json, options)
        return exits.OK
    if mesh_subnet is not None:
        raise click.UsageError("--mesh-subnet needs --secret or --secret-file; a running node knows its own network")
    node = node_of(options)
    if not watch:
        status = _status(node)
        _show(status, as_json, compact=False)
        return _exit_code(status)
    with ended_by_ctrl_c(exits.INTERRUPTED):
        while True:
            status = _status(node)
            with redrawn(as_json):
                _show(status, as_json, compact=True)
            time.sleep(WATCH_PERIOD_S)
    return exits.OK


def _exit_code(status: node_pb2.GetStatusResponse) -> int:
    """What a script should know at once: whether all processes of the node run, and whether it can do its work."""
    states = {service.state for service in status.services}
    if states & {SILENT, RESTARTING}:
        return exits.RESTARTING
    return exits.STARTING if STARTING in states else code_of(status.health)


def _status(node: NodeOptions) -> node_pb2.GetStatusResponse:
    with node.connect() as connection:
        return connection.get_status()


def _show(status: node_pb2.GetStatusResponse, as_json: bool, compact: bool) -> None:
    from wgmesh.cli.render import status_text, status_value

    now = time.time()
    if as_json:
        emit_json(status_value(status, now), compact)
    else:
        emit(status_text(status, now))


def _show_derived(mesh_subnet: str | None, as_json: bool, options: dict[str, Any]) -> None:
    from wgmesh.cli.derived import DerivedStatus
    from wgmesh.cli.values import parse_mesh_subnet
    from wgmesh.core.errors import InvalidSetting
    from wgmesh.core.keys.keyschedule import derive

    try:
        subnet = parse_mesh_subnet(mesh_subnet) if mesh_subnet is not None else None
    except ValueError as error:
        raise InvalidSetting("--mesh-subnet", str(error)) from None
    interface = options["interface"] or DEFAULT_INTERFACE
    choice = SocketChoice(options["socket_path"], interface, options["runtime_dir"])
    service = SERVICE_WORDS.get(presence_of_node(choice, os.environ), "")
    status = DerivedStatus.of(derive(required_secret(options)), interface, subnet, service)
    if as_json:
        emit_json(status.value())
    else:
        emit(status.text())
