"""How one service process starts and ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVICE = """
import asyncio, sys
from pathlib import Path
from wgmesh.core.errors import CorruptState, NotReady, PermissionDenied
from wgmesh.runtime.service import Shell, run_service
from wgmesh.runtime.settings import RuntimeSettings

async def fail(error):
    raise error

async def grouped(error):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail(error))
        tasks.create_task(asyncio.Event().wait())

async def main(shell):
    match sys.argv[2]:
        case "end":
            return
        case "corrupt":
            raise CorruptState("The file is corrupt.")
        case "denied":
            await grouped(PermissionDenied("Not as this user."))
        case "not-ready":
            raise NotReady("Not yet.")
        case "bug":
            await grouped(KeyError("hostname"))
        case "corrupt-later":
            async with shell.serve(lambda server: None, ()):
                raise CorruptState("The file is corrupt.")
        case "serve":
            async with shell.serve(lambda server: None, ()):
                await shell.stopping.wait()
        case "deaf":
            async with shell.serve(lambda server: None, ()):
                await shell.stopping.wait()
                print("stopping", flush=True)
                await asyncio.Event().wait()

settings = RuntimeSettings("nat", "wg0", Path(sys.argv[1]))
sys.exit(run_service(settings, main, lambda: print("ready", flush=True)))
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wgm") as name:  # short: a unix socket's path has 107 bytes
        yield Path(name)


@pytest.mark.parametrize(
    ("behaviour", "code", "said"),
    [
        ("end", 0, ""),
        ("corrupt", 78, "wgmesh: The file is corrupt."),
        ("denied", 5, "wgmesh: Not as this user."),
        ("not-ready", 1, "Not yet."),
        ("bug", 70, "KeyError"),
        ("corrupt-later", 1, "The file is corrupt."),
    ],
)
def test_an_end_has_the_exit_code_and_the_one_line_of_its_reason(
    directory: Path, behaviour: str, code: int, said: str
) -> None:
    ended = subprocess.run(command(directory, behaviour), capture_output=True, text=True, timeout=20, check=False)

    assert ended.returncode == code
    assert said in ended.stderr
    assert ("Traceback" in ended.stderr) == (behaviour == "bug")
    assert ended.stderr.count("file is corrupt") <= 1


def test_termination_ends_a_service_in_order_and_an_interrupt_does_not_reach_it(directory: Path) -> None:
    with started(directory, "serve") as service:
        service.send_signal(signal.SIGINT)
        service.send_signal(signal.SIGTERM)

        assert service.wait(10) == 0
    assert not (directory / "nat/node/nat.sock").exists()


def test_a_second_termination_cancels_a_service_that_does_not_listen(directory: Path) -> None:
    with started(directory, "deaf") as service:
        service.send_signal(signal.SIGTERM)
        assert service.stdout is not None
        assert service.stdout.readline() == "stopping\n"
        service.send_signal(signal.SIGTERM)

        assert service.wait(10) == 0
    assert not (directory / "nat/node/nat.sock").exists()


def started(directory: Path, behaviour: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(command(directory, behaviour), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def command(directory: Path, behaviour: str) -> list[str]:
    return [sys.executable, "-c", SERVICE, str(directory), behaviour]
