"""What may change while a node runs does change, everywhere: by `wgmesh reload`, and by SIGHUP to the supervisor."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest
from support.meshes import StartMesh
from wgmesh.client.runtime import RuntimeClient
from wgmesh.demo.nodes import MeshNode
from wgmesh.demo.waiting import wait_for

EVERYWHERE_S = 2.0
NETWORK = "172.20.9.0/24"
PROCESSES = ("discovery", "nat", "wireguard", "node")


def by_command(node: MeshNode) -> None:
    done = node.cli("reload")
    assert done.returncode == 0, done.stderr


def by_signal(node: MeshNode) -> None:
    node.running_process().send(signal.SIGHUP)


@pytest.mark.parametrize("reload", [by_command, by_signal])
def test_routes_come_and_go_everywhere_within_two_seconds(
    start_mesh: StartMesh, reload: Callable[[MeshNode], None]
) -> None:
    a, b = start_mesh("a b")
    services = a.service_pids()
    for text, is_routed in (
        (f"advertise-routes={NETWORK}\n", True),
        ("advertise-routes=\n", False),
        (f"advertise-routes={NETWORK}, 172.20.10.0/24\n", True),
        ("advertise-routes=172.20.10.0/24\n", False),
    ):
        set_reload_file(a, text)
        reload(a)
        wait_for(
            lambda is_routed=is_routed: ("dev wg0" in b.host.ip("route", "show", NETWORK)) is is_routed,  # type: ignore[misc]
            EVERYWHERE_S,
            f"b follows {text}",
        )
    assert "dev wg0" in b.host.ip("route", "show", "172.20.10.0/24")
    assert a.service_pids() == services


@pytest.mark.parametrize("reload", [by_command, by_signal])
def test_the_log_level_changes_in_every_process(start_mesh: StartMesh, reload: Callable[[MeshNode], None]) -> None:
    (a,) = start_mesh("a")
    assert " debug " not in a.running_process().output()
    set_reload_file(a, "log-level=debug\n")
    reload(a)
    wait_for(lambda: "settings reloaded" in a.running_process().output(), EVERYWHERE_S, "the file is read")
    assert [exchange_level(a, service, "error") for service in PROCESSES] == ["debug"] * len(PROCESSES)
    set_reload_file(a, "log-level=info\n")
    reload(a)
    wait_for(lambda: exchange_level(a, "node", "info") == "info", EVERYWHERE_S, "the level is back")


def set_reload_file(node: MeshNode, text: str) -> None:
    path = node.host.state_dir / f"{node.interface}.reload"
    path.write_text(text)
    path.chmod(0o644)


def exchange_level(node: MeshNode, service: str, level: str) -> str:
    """Sets the log level of one process, and returns the one that it had."""

    async def ask() -> str:
        async with RuntimeClient(node.socket_path.with_name(f"{service}.sock")) as client:
            return await client.set_log_level(level)

    return asyncio.run(ask())
