"""From the flags of `join` to the process of a node: this one becomes its supervisor.

Nothing here loads click: what this process has loaded, it and the processes that it forks keep as long as they live.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from wgmesh.cli import exits
from wgmesh.cli.capabilities import CAP_NET_ADMIN, has_capabilities
from wgmesh.cli.configuration import SECRET_FILE_KEY, Given, build_settings, given_text, read_configuration
from wgmesh.cli.credentials import SecretSources, read_secret_input
from wgmesh.cli.interruption import ended_by_ctrl_c
from wgmesh.cli.join_flags import JoinFlags
from wgmesh.cli.output import warn
from wgmesh.cli.secret_reading import read_apart
from wgmesh.cli.sockets import Presence, presence
from wgmesh.core.errors import MeshError, PermissionDenied
from wgmesh.core.hostname import LONGEST_HOSTNAME, normalised_hostname
from wgmesh.core.keys.keyschedule import MeshLayout
from wgmesh.core.settings import MeshSettings


def run_node(flags: JoinFlags) -> int:
    """Runs a node until it is stopped and returns the exit code. Raises what stands in the way of its start."""
    file = read_configuration(flags.config) if flags.config is not None else {}
    reading = read_apart(secret_sources(flags, os.environ, file))
    for warning in reading.warnings:
        warn(warning)
    settings = settings_of(flags, os.environ, file, reading.layout)
    if not has_capabilities(CAP_NET_ADMIN):
        raise PermissionDenied("making a WireGuard device needs root or CAP_NET_ADMIN; use sudo")
    if settings.socket_path is not None:  # elsewhere it lies in a directory of the node's own
        _check_socket(settings.socket_path)
    with ended_by_ctrl_c(exits.INTERRUPTED):  # until the supervisor takes all signals
        from wgmesh.runtime.deferred_imports import defer_unused

        defer_unused()
        from wgmesh.supervisor import assembly

        return exits.documented(assembly.run_node(settings, reading.layout, reading.secret))


def secret_sources(flags: JoinFlags, environ: Mapping[str, str], file: Mapping[str, Given]) -> SecretSources:
    """Every place where the secret of a node may be."""
    configured = file.get(SECRET_FILE_KEY)
    return SecretSources(
        environ=environ,
        read_input=read_secret_input,
        flag=flags.secret,
        file_flag=flags.secret_file,
        configured_file=configured.texts[-1] if configured else None,
    )


def settings_of(
    flags: JoinFlags, environ: Mapping[str, str], file: Mapping[str, Given], layout: MeshLayout
) -> MeshSettings:
    """Merges all sources. Raises InvalidSetting."""
    given = dict(flags.settings)
    if flags.as_json:
        given.setdefault("log-format", ("json",))
    settings = build_settings(layout, _own_hostname(), given, environ, file, _own_runtime_dir(environ))
    name = given_text("hostname", given, environ, file) or socket.gethostname()
    if name != settings.hostname:
        warn(
            f"the host name {name!r} is told to others as {settings.hostname!r}; in a mesh a name has ASCII letters,"
            f" digits and hyphens, {LONGEST_HOSTNAME} at most"
        )
    return settings


def _check_socket(path: Path) -> None:
    if presence(path) is Presence.NOT_A_SOCKET:
        raise MeshError(f"{path} is a file and not a socket, and stays; name another path with --socket-path")


def _own_hostname() -> str:
    """The host's name as a mesh carries it; empty where nothing of it is left."""
    return normalised_hostname(socket.gethostname())


def _own_runtime_dir(environ: Mapping[str, str]) -> Path | None:
    """A user with capabilities but without root has no /run of the system; None means the usual place."""
    user = environ.get("XDG_RUNTIME_DIR")
    return Path(user) / "wgmesh" if user and os.geteuid() != 0 else None
