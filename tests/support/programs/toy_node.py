"""A node of toy services under the real supervisor, for tests: `python toy_node.py BASE_DIRECTORY SCENARIO`.

Each toy is a whole service of the runtime with its gRPC server; what it does besides is named by the scenario.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import grpc.aio
from wgmesh.core.errors import CorruptState, MeshError, PermissionDenied
from wgmesh.runtime.callers import CALLERS, CONTROL
from wgmesh.runtime.service import Shell, run_service
from wgmesh.runtime.settings import RuntimeSettings
from wgmesh.supervisor.heartbeats import LOOK_EVERY_S, LOOK_PHASE_S
from wgmesh.supervisor.settings import IDENTITIES, ChildSpec, SupervisorSettings
from wgmesh.supervisor.supervisor import run

REQUIRES = {
    "metrics": frozenset[str](),
    "wireguard": frozenset[str](),
    "discovery": frozenset({"wireguard"}),
    "nat": frozenset({"wireguard"}),
    "node": frozenset({"wireguard", "discovery", "nat", "metrics"}),
}


def main() -> int:
    base, scenario = Path(sys.argv[1]), sys.argv[2]
    settings = SupervisorSettings(
        "toy0",
        base / "run",
        base / "state",
        log_level="debug",
        log_format="json",
        single_user=scenario == "single user",
    )
    children = [
        ChildSpec(
            name, _target(name, settings, scenario), IDENTITIES[name], requires, may_stop_node=CONTROL in CALLERS[name]
        )
        for name, requires in REQUIRES.items()
    ]
    try:
        return run(children, settings)
    except PermissionDenied as error:
        print(f"wgmesh: {error}", file=sys.stderr)
        return 5
    except MeshError as error:
        print(f"wgmesh: {error}", file=sys.stderr)
        return 1


async def _ask_between_looks(shell: Shell) -> None:
    loop = asyncio.get_running_loop()
    next_look_at = math.ceil(loop.time()) + LOOK_EVERY_S + LOOK_PHASE_S
    await asyncio.sleep(next_look_at - LOOK_EVERY_S + LOOK_PHASE_S - loop.time())
    shell.ask_to_stop()
    await shell.stopping.wait()
    shell.log.info("toy stopped", before_look=loop.time() < next_look_at)


def _target(name: str, settings: SupervisorSettings, scenario: str) -> Callable[[Callable[[], None]], int]:
    async def toy(shell: Shell) -> None:
        if scenario == "stubborn" and name == "node":  # and so never hears that it is to stop
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if scenario == "corrupt" and name == "wireguard":
            raise CorruptState("The identity is corrupt. Restore it.")
        if scenario == "grandchild" and name == "wireguard":
            await _start_grandchild(settings.state_dir / "grandchild.tmp")
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, time.sleep, 3600)  # waits in the loop, and uses no processor
        loop.add_signal_handler(signal.SIGUSR2, _spin)
        async with shell.serve(_nothing, ()):
            if scenario == "asks to stop":
                shell.log.info("toy asks to stop")
                shell.ask_to_stop()
            if scenario == "asks to stop between looks" and name == "node":
                await _ask_between_looks(shell)
            if scenario == "reload":
                await shell.reload.wait()
                shell.log.info("toy reloaded")
            await shell.stopping.wait()

    def target(on_ready: Callable[[], None]) -> int:
        own = RuntimeSettings(name, settings.interface, settings.interface_dir, "debug", "json")
        return run_service(own, toy, on_ready)

    return target


def _nothing(server: grpc.aio.Server) -> None:
    """The toys serve only what the runtime adds."""


def _spin() -> None:
    while True:
        pass


async def _start_grandchild(pid_file: Path) -> None:
    # as userspace WireGuard is started: a session of its own, so that it outlives everything
    process = await asyncio.create_subprocess_exec(
        "sleep", "600", start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    pid_file.write_text(f"{process.pid}\n")


if __name__ == "__main__":
    sys.stderr.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    sys.exit(main())
