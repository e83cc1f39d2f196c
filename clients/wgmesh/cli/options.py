"""Options that several commands share, as decorators, and the values they make."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from wgmesh.cli.parameters import Seconds, Text
from wgmesh.cli.sockets import SocketChoice, find_socket
from wgmesh.core.errors import NotReady

if TYPE_CHECKING:
    from wgmesh.cli.credentials import SecretSources
    from wgmesh.client.node import NodeClient
    from wgmesh.core.keys.secret import Secret

Command = TypeVar("Command", bound=Callable[..., Any])

TIMEOUT_S = 5.0  # a local call takes milliseconds; five seconds means that the node is stuck


def _json_anywhere(ctx: click.Context, parameter: click.Parameter, value: bool) -> bool:
    """Whether JSON was asked for here or before the command, whose word all commands inside share."""
    ctx.meta[JSON_ASKED] = value or ctx.meta.get(JSON_ASKED, False)
    return bool(ctx.meta[JSON_ASKED])


JSON_ASKED = "wgmesh.cli.json"
json_option = click.option(
    "--json", "as_json", is_flag=True, callback=_json_anywhere, help="Print JSON, errors too; also before the command."
)


def _peer_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from wgmesh.cli.completing import peer_names

    return peer_names(ctx, parameter, incomplete)


peer_argument = click.argument("selector", metavar="PEER", type=Text(), shell_complete=_peer_names)


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """How to reach the running node."""

    choice: SocketChoice
    timeout_s: float

    def path(self) -> Path:
        """Where the node answers. Raises what find_socket raises."""
        return find_socket(self.choice, os.environ)

    @contextmanager
    def connect(self) -> Iterator[NodeClient]:
        """Finds the node and holds a connection. Raises what find_socket and the calls raise.

        Where nobody answers, NodeStarting or NodeRestarting take the place of DaemonNotRunning and NotReady if that is
        what its supervisor says.
        """
        try:
            path = self.path()
            from wgmesh.runtime.deferred_imports import defer_unused

            defer_unused()
            from wgmesh.client.node import NodeClient

            with NodeClient(path, self.timeout_s) as client:
                yield client
        except NotReady as error:
            raise self.explained(error) from None

    def explained(self, error: NotReady) -> NotReady:
        """The error with what the supervisor says of the node, or as it is where there is none to ask."""
        from wgmesh.cli.absence import explained

        return explained(error, self.choice, os.environ, self.timeout_s)


def interface_option(command: Command) -> Command:
    return click.option(
        "--interface",
        "-i",
        metavar="NAME",
        envvar="WGMESH_INTERFACE",
        callback=_checked_interface,
        help="The WireGuard device.",
    )(command)


def node_options(command: Command) -> Command:
    """Adds --interface, --socket-path, --runtime-dir and --timeout; `node_of` turns them into NodeOptions."""
    for option in (
        click.option(
            "--timeout",
            type=Seconds(0.05, 3600),
            default=TIMEOUT_S,
            show_default=True,
            metavar="SECONDS",
            envvar="WGMESH_TIMEOUT",
            help="How long to wait for the node.",
        ),
        click.option(
            "--runtime-dir",
            type=click.Path(path_type=Path),
            metavar="DIR",
            envvar="WGMESH_RUNTIME_DIR",
            help="Directory of the nodes' sockets. [default: /run/wgmesh]",
        ),
        click.option(
            "--socket-path",
            type=click.Path(path_type=Path),
            metavar="PATH",
            envvar="WGMESH_SOCKET",
            help="Control socket of the node. [default: that of the only running node]",
        ),
        interface_option,
    ):
        command = option(command)
    return command


def node_of(options: dict[str, Any]) -> NodeOptions:
    """Takes the four values of node_options out of a command's keyword arguments."""
    choice = SocketChoice(options["socket_path"], options["interface"], options["runtime_dir"])
    return NodeOptions(choice, options["timeout"])


def secret_options(command: Command) -> Command:
    """Adds --secret and --secret-file; `secret_sources` turns them into where to look."""
    command = click.option("--secret-file", type=click.Path(), metavar="FILE", help="File that holds the secret.")(
        command
    )
    return click.option(
        "--secret",
        metavar="SECRET",
        help="Secret or wgmesh:// URI; `-` reads standard input, which no other user can see.",
    )(command)


def secret_sources(options: dict[str, Any]) -> SecretSources:
    from wgmesh.cli.credentials import SecretSources, read_secret_input

    return SecretSources(
        environ=os.environ,
        read_input=read_secret_input,
        flag=options["secret"],
        file_flag=options["secret_file"],
    )


def required_secret(options: dict[str, Any]) -> Secret:
    """Finds the secret and says its warnings on stderr. Raises InvalidSetting if there is none."""
    from wgmesh.cli import credentials

    return credentials.required_secret(secret_sources(options))


def _checked_interface(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    from wgmesh.cli.interface_name import parse_interface_name

    return parse_interface_name(value)
