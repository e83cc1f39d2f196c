"""Applies the reload file: to this process, and the log level to all others."""

from __future__ import annotations

from pathlib import Path

from wgmesh.client.runtime import RuntimeClient
from wgmesh.core.errors import InvalidInput, MeshError, NotFound, PermissionDenied, UnreadableFile
from wgmesh.node.io.reconcile_loop import ReconcileLoop
from wgmesh.node.reload_file import ReloadRequest, parse_reload_file
from wgmesh.node.settings import NodeSettings
from wgmesh.runtime import logs
from wgmesh.runtime.files import read_given
from wgmesh.runtime.service import Shell

FILE_BYTES_MAX = 64 * 1024  # a thousand networks; more is not a reload file
REFUSED = "nothing of the file was applied"
OTHER_SERVICES = ("discovery", "nat", "wireguard")


class Reloading:
    """Reads the file when asked to."""

    def __init__(self, shell: Shell, settings: NodeSettings, loop: ReconcileLoop) -> None:
        self._shell = shell
        self._settings = settings
        self._loop = loop

    async def reload(self) -> tuple[list[str], list[str]]:
        """Applies the file; returns what changed and what was wrong. A file with a mistake in it changes nothing.

        Raises NotFound, PermissionDenied, or InvalidInput for what is no readable file; nothing has changed then.
        """
        request = parse_reload_file(read_reload_file(self._settings.reload_file), self._loop.hostname)
        if request.problems:
            self._shell.log.warning("reload file refused", problems=list(request.problems))
            return [], [*request.problems, REFUSED]
        problems: list[str] = []
        changes = self._apply_routes(request)
        if request.log_level is not None:
            changes += await self._apply_level(request.log_level, problems)
        self._shell.log.info("settings reloaded", changes=changes, problems=problems)
        return changes, problems

    def _apply_routes(self, request: ReloadRequest) -> list[str]:
        if request.advertise_routes is None or request.advertise_routes == self._loop.advertised:
            return []
        before = self._loop.advertised
        self._loop.advertise(request.advertise_routes)
        return [f"advertise-routes: {_list(before)} -> {_list(request.advertise_routes)}"]

    async def _apply_level(self, level: str, problems: list[str]) -> list[str]:
        before = logs.set_level(level)
        for service in (*OTHER_SERVICES, *(("metrics",) if self._shell.settings.telemetry else ())):
            try:
                async with RuntimeClient(self._shell.settings.socket_path(service)) as client:
                    await client.set_log_level(level)
            except MeshError as error:
                problems.append(f"{service} keeps its log level: {error}")
        return [f"log-level: {before} -> {level}"] if before != level else []


def read_reload_file(path: Path) -> str:
    """Returns its text. Raises NotFound, PermissionDenied or InvalidInput."""
    try:
        data = read_given(path, FILE_BYTES_MAX)
    except UnreadableFile as error:
        if not error.permitted:
            raise PermissionDenied(
                f"{path} cannot be read by the node: {error.problem}. Give it to root, with mode 0644."
            ) from None
        raise InvalidInput(f"{path} cannot be read: {error.problem}; nothing was changed") from None
    if data is None:
        raise NotFound(
            f"there is no {path}: write lines such as advertise-routes=192.168.1.0/24 or log-level=debug into it"
        )
    return data.decode("utf-8", errors="replace")


def _list(networks: tuple[object, ...]) -> str:
    return ", ".join(str(network) for network in networks) or "none"
