"""`wgmesh join`: one node, from its settings to the supervisor."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from wgmesh.cli import exits
from wgmesh.cli.capabilities import CAP_NET_ADMIN, has_capabilities
from wgmesh.cli.join_settings import REFUSED, REFUSED_SWITCHES, SETTINGS
from wgmesh.cli.options import json_option, required_secret, secret_options
from wgmesh.cli.sockets import Presence, presence
from wgmesh.core.errors import MeshError, PermissionDenied

if TYPE_CHECKING:
    from wgmesh.core.settings import MeshSettings


def _parameter_name(name: str) -> str:
    return name.replace("-", "_")


def _setting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds one option for each row of the tables; the texts are parsed when all sources are known."""
    for row in reversed(SETTINGS):
        words = [row.flag, _parameter_name(row.name), *([row.short] if row.short else [])]
        if row.is_switch:
            option = click.option(*words, is_flag=True, default=False, help=row.help)
        else:
            text = f"{row.help} [default: {row.default}]"
            option = click.option(*words, metavar=row.metavar, multiple=row.repeatable, help=text)
        command = option(command)
    for name in REFUSED:
        is_switch = name in REFUSED_SWITCHES
        command = click.option(f"--{name}", _parameter_name(name), is_flag=is_switch, default=None, hidden=True)(
            command
        )
    return command


@click.command("join", short_help="Join the mesh of a secret and stay until stopped.")
@secret_options
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="WGMESH_CONFIG",
    help="TOML file; its keys are the names of these flags.",
)
@_setting_options
@json_option
def command(config: Path | None, as_json: bool, **options: Any) -> int:
    """Joins the mesh of a secret and stays until it is stopped.

    Every flag can also be set as WGMESH_<FLAG> and in the file of --config; a flag wins over the environment, and that
    over the file. With --json, logs are JSON too.
    """
    settings = settings_of(options, config, as_json, os.environ)
    if not has_capabilities(CAP_NET_ADMIN):
        raise PermissionDenied("making a WireGuard device needs root or CAP_NET_ADMIN; use sudo")
    _check_socket(settings.control_socket)
    from wgmesh.supervisor.assembly import run_node

    return exits.documented(run_node(settings))


def settings_of(
    options: Mapping[str, Any], config: Path | None, as_json: bool, environ: Mapping[str, str]
) -> MeshSettings:
    """Merges all sources. Raises InvalidSetting, InvalidSecret or PermissionDenied."""
    from wgmesh.cli.configuration import SECRET_FILE_KEY, build_settings, read_configuration

    file = read_configuration(config) if config is not None else {}
    flags = given_flags(options)
    if as_json:
        flags.setdefault("log-format", ("json",))
    secret_file = file.get(SECRET_FILE_KEY)
    secret = required_secret(dict(options), secret_file.texts[-1] if secret_file else None)
    settings = build_settings(secret, _own_hostname(), flags, environ, file, _own_runtime_dir(environ))
    return settings


def given_flags(options: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """The texts of the flags that stood on the command line, by the name of the setting."""
    given: dict[str, Sequence[str]] = {}
    for name in (*(row.name for row in SETTINGS), *REFUSED):
        value = options[_parameter_name(name)]
        if value is True:
            given[name] = ("true",)
        elif isinstance(value, tuple) and value:
            given[name] = value
        elif isinstance(value, str):
            given[name] = (value,)
    return given


def _check_socket(path: Path) -> None:
    if presence(path) is Presence.NOT_A_SOCKET:
        raise MeshError(f"{path} is a file and not a socket; remove it or name another path with --socket-path")


def _own_hostname() -> str:
    """The host's name without the signs that a mesh message cannot carry."""
    return "".join(sign for sign in socket.gethostname() if " " <= sign <= "~")[:253]


def _own_runtime_dir(environ: Mapping[str, str]) -> Path | None:
    """A user with capabilities but without root has no /run of the system; None means the usual place."""
    user = environ.get("XDG_RUNTIME_DIR")
    return Path(user) / "wgmesh" if user and os.geteuid() != 0 else None
