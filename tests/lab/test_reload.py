"""What may change while a node runs does change, everywhere: by `wgmesh reload`, and by SIGHUP to the supervisor."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest
from support.lab.meshes import StartMesh
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.client.runtime import RuntimeClient
from wgmesh.demo.nodes import MeshNode
from wgmesh.demo.waiting import wait_for
from wgmesh.runtime.callers import socket_path

EVERYWHERE_S = 2.0
NETWORK = "172.20.9.0/24"
OTHER = "172.20.11.0/24"
PROCESSES = ("discovery", "nat", "wireguard", "node")


def by_command(node: MeshNode) -> None:
    done = node.cli("reload")
    assert done.returncode == 0, done.stderr


def by_signal(node: MeshNode) -> None:
    node.running_process().send(signal.SIGHUP)


def routes(node: MeshNode, network: str) -> bool:
    return "dev wg0" in node.host.ip("route", "show", network)


@pytest.mark.parametrize("reload", [by_command, by_signal])
def test_routes_come_and_go_everywhere_within_two_seconds(
    start_mesh: StartMesh, reload: Callable[[MeshNode], None]
) -> None:
    a, *others = start_mesh("a b c d")
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
            lambda is_routed=is_routed: {routes(node, NETWORK) for node in others} == {is_routed},  # type: ignore[misc]
            promised(EVERYWHERE_S),
            f"all others follow {text}",
        )
    assert all(routes(node, "172.20.10.0/24") for node in others)
    assert a.service_pids() == services


@pytest.mark.parametrize("reload", [by_command, by_signal])
def test_the_log_level_changes_in_every_process(start_mesh: StartMesh, reload: Callable[[MeshNode], None]) -> None:
    (a,) = start_mesh("a")
    assert " debug " not in a.running_process().output()
    set_reload_file(a, "log-level=debug\n")
    reload(a)
    wait_for(lambda: "settings reloaded" in a.running_process().output(), promised(EVERYWHERE_S), "the file is read")
    assert [exchange_level(a, service, "error") for service in PROCESSES] == ["debug"] * len(PROCESSES)
    set_reload_file(a, "log-level=info\n")
    reload(a)
    wait_for(lambda: exchange_level(a, "node", "info") == "info", promised(EVERYWHERE_S), "the level is back")


@pytest.mark.parametrize("reload", [by_command, by_signal])
def test_a_half_good_file_changes_nothing_anywhere(start_mesh: StartMesh, reload: Callable[[MeshNode], None]) -> None:
    a, b = start_mesh("a b")
    set_reload_file(a, f"advertise-routes={NETWORK}\nlog-level=loud\n")
    if reload is by_command:
        done = a.cli("reload")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines() == [
            "wgmesh: line 2: log-level: 'loud' is none of debug, info, warn, warning, error",
            "wgmesh: nothing of the file was applied",
        ]
    else:
        by_signal(a)
        wait_for(lambda: "reload file refused" in a.running_process().output(), PATIENCE_S, "the log has it")

    set_reload_file(a, f"advertise-routes={OTHER}\n")  # this one is applied, and would show what the first had left
    reload(a)
    wait_for(lambda: routes(b, OTHER), PATIENCE_S, "the next file is applied")
    assert not routes(b, NETWORK)


def set_reload_file(node: MeshNode, text: str) -> None:
    path = node.host.state_dir / f"{node.interface}.reload"
    path.write_text(text)
    path.chmod(0o644)


def exchange_level(node: MeshNode, service: str, level: str) -> str:
    """Sets the log level of one process, and returns the one that it had."""

    async def ask() -> str:
        directory = node.socket_path.parent
        path = node.socket_path if service == "node" else socket_path(directory, service, "node")
        async with RuntimeClient(path) as client:
            return await client.set_log_level(level)

    return asyncio.run(ask())
