"""Applies the reload file: to this process, and the log level to all others."""

from __future__ import annotations

from wgmesh.client.runtime import RuntimeClient
from wgmesh.core.errors import MeshError, NotFound, PermissionDenied
from wgmesh.node.io.turns import Turns
from wgmesh.node.reload_file import ReloadRequest, parse_reload_file
from wgmesh.node.settings import NodeSettings
from wgmesh.runtime import logs
from wgmesh.runtime.service import Shell

FILE_BYTES_MAX = 64 * 1024  # a thousand networks; more is not a reload file
OTHER_SERVICES = ("discovery", "nat", "wireguard")


class Reloading:
    """Reads the file when asked to."""

    def __init__(self, shell: Shell, settings: NodeSettings, turns: Turns) -> None:
        self._shell = shell
        self._settings = settings
        self._turns = turns

    async def reload(self) -> tuple[list[str], list[str]]:
        """Applies the file; returns what changed and what was wrong. Raises NotFound, PermissionDenied."""
        request = parse_reload_file(self._read(), self._settings.hostname)
        problems = list(request.problems)
        changes = self._apply_routes(request)
        if request.log_level is not None:
            changes += await self._apply_level(request.log_level, problems)
        self._shell.log.info("settings reloaded", changes=changes, problems=problems)
        return changes, problems

    def _read(self) -> str:
        path = self._settings.reload_file
        try:
            return path.read_bytes()[:FILE_BYTES_MAX].decode("utf-8", errors="replace")
        except FileNotFoundError:
            raise NotFound(
                f"there is no {path}: write lines such as advertise-routes=192.168.1.0/24 or log-level=debug into it"
            ) from None
        except PermissionError:
            raise PermissionDenied(f"{path} cannot be read by the node: give it mode 0644") from None

    def _apply_routes(self, request: ReloadRequest) -> list[str]:
        if request.advertise_routes is None or request.advertise_routes == self._turns.advertised:
            return []
        before = self._turns.advertised
        self._turns.advertise(request.advertise_routes)
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


def _list(networks: tuple[object, ...]) -> str:
    return ", ".join(str(network) for network in networks) or "none"
