"""Each user of a running node tries each socket, each process and each directory, and so do users beside it."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE

import pytest
from support.directories import public_directory
from support.impostor import as_account, callable_sockets, touchable_processes, writable_directories
from support.interpreters import STRANGER, public_interpreter
from support.supervised import SERVICES, Supervised
from wgmesh.client.runtime import RuntimeClient
from wgmesh.core.errors import NotSupported
from wgmesh.runtime.callers import CALLERS, CONTROL, socket_path
from wgmesh.supervisor.io import sockets
from wgmesh.supervisor.io.privileges import Account, account_of, group_id
from wgmesh.supervisor.settings import CONTROL_GROUP, IDENTITIES, SupervisorSettings

pytestmark = pytest.mark.root  # only root can become another user

ACCOUNTS = {name: replace(account_of(IDENTITIES[name]), capabilities=frozenset()) for name in SERVICES}
MEMBER = Account(STRANGER, STRANGER, frozenset(), (group_id(CONTROL_GROUP),))
OUTSIDER = Account(STRANGER, STRANGER, frozenset())
EARLIER_GROUP = group_id(CONTROL_GROUP)  # of all processes, and of their directory


@pytest.fixture(scope="module")
def node() -> Iterator[Supervised]:
    with public_directory() as directory, Supervised(directory, interpreter=[public_interpreter()]) as node:
        node.pids = node.wait_until_ready()  # type: ignore[attr-defined]
        yield node


def run_dir(node: Supervised) -> Path:
    return node.base / "run/toy0"


def all_sockets(node: Supervised) -> dict[Path, tuple[str, str]]:
    return {
        socket_path(run_dir(node), service, caller): (service, caller)
        for service, callers in CALLERS.items()
        for caller in callers
    }


@pytest.mark.attack("a program in a process of a node", "call what is meant for another process")
@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_process_reaches_the_sockets_that_are_made_for_it_and_its_own_and_no_other(
    node: Supervised, name: str
) -> None:
    paths = all_sockets(node)
    assert set(paths) == set(run_dir(node).rglob("*/*.sock"))

    reached = callable_sockets(ACCOUNTS[name], [*paths, run_dir(node) / "node.sock"])

    own = {path for path, pair in paths.items() if name in pair}
    assert reached == (own | {run_dir(node) / "node.sock"} if name == "node" else own)


def test_only_the_node_can_have_the_device_changed_and_only_discovery_has_keys_agreed() -> None:
    """What the table says; the test above shows that the kernel keeps to it."""
    device = CALLERS["wireguard"]
    assert device.keys() == {"node", "discovery"}
    assert device["discovery"].calls == {"wgmesh.v1.WireGuardService/AgreePairKeys"}
    assert not device["node"].allows("/wgmesh.v1.WireGuardService/AgreePairKeys")
    assert not any("nat" in callers for service, callers in CALLERS.items() if service not in ("discovery", "metrics"))


def test_a_member_of_the_control_group_reaches_the_control_socket_alone(node: Supervised) -> None:
    control = socket_path(run_dir(node), "node", CONTROL)

    assert callable_sockets(MEMBER, [*all_sockets(node), run_dir(node) / "node.sock"]) == {
        control,
        run_dir(node) / "node.sock",
    }


def test_another_user_of_the_host_reaches_no_socket(node: Supervised) -> None:
    assert callable_sockets(OUTSIDER, [*all_sockets(node), run_dir(node) / "node.sock"]) == set()


@pytest.mark.attack("a program in a process of a node", "signal or read another process")
@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_process_can_signal_and_read_no_other_of_its_node(node: Supervised, name: str) -> None:
    pids: dict[str, int] = node.pids  # type: ignore[attr-defined]

    touched = touchable_processes(ACCOUNTS[name], [node.process.pid, *pids.values()])

    assert touched <= {pids[name]}


def test_nobody_but_a_serving_process_can_make_an_entry_where_sockets_and_locks_lie(node: Supervised) -> None:
    directories = [node.base / "run", run_dir(node), *(path for path in run_dir(node).rglob("*") if path.is_dir())]

    assert writable_directories(MEMBER, directories) == set()
    for name, account in ACCOUNTS.items():
        own = {socket_path(run_dir(node), name, caller).parent for caller in CALLERS[name]}
        assert writable_directories(account, directories) == own


def test_the_state_directory_takes_files_only_of_those_that_keep_some(node: Supervised) -> None:
    writers = {name for name, account in ACCOUNTS.items() if writable_directories(account, [node.base / "state"])}

    assert writers == {"wireguard", "discovery"}
    assert writable_directories(MEMBER, [node.base / "state"]) == set()


def test_no_other_user_can_open_a_lock_and_so_hold_it(node: Supervised) -> None:
    locks = [path for path in run_dir(node).rglob("*") if path.name == "lock" or path.name.endswith(".lock")]

    def attempt() -> list[str]:
        return [os.fspath(path) for path in locks if os.access(path, os.R_OK)]

    assert len(locks) == 1 + len(all_sockets(node))
    assert as_account(MEMBER, attempt) == []


async def test_a_caller_gets_only_the_methods_that_are_meant_for_it(node: Supervised) -> None:
    async with RuntimeClient(socket_path(run_dir(node), "wireguard", "node")) as allowed:
        assert await allowed.set_log_level("debug") == "debug"
    async with RuntimeClient(socket_path(run_dir(node), "wireguard", "discovery")) as refused:
        with pytest.raises(NotSupported):
            await refused.set_log_level("error")


@pytest.mark.parametrize("mask", ["000", "022", "077", "777"])
def test_no_umask_changes_who_may_what(base: Path, mask: str) -> None:
    masked = ["sh", "-c", f'umask {mask}; exec "$@"', "sh", public_interpreter()]
    with Supervised(base, interpreter=masked) as node:
        node.wait_until_ready()
        places = [base / "run", run_dir(node), base / "state", *sorted(run_dir(node).rglob("*"))]
        modes = {os.fspath(path.relative_to(base)): path.lstat().st_mode & 0o7777 for path in places}

    expected = {"run": 0o755, "run/toy0": 0o755, "state": 0o1771, "run/toy0/lock": 0o600, "run/toy0/node.sock": 0o777}
    for service, callers in CALLERS.items():
        expected[f"run/toy0/{service}"] = 0o755
        for caller in callers:
            path = f"run/toy0/{service}/{caller}"
            expected |= {path: 0o2710, f"{path}/{service}.sock": 0o660, f"{path}/{service}.sock.lock": 0o600}
    assert modes == expected


@pytest.mark.attack("another user of the machine", "stop a start with locks and sockets of his own")
def test_locks_and_sockets_that_a_member_has_planted_and_holds_do_not_stop_a_start(base: Path) -> None:
    """In the directory as an earlier version left it, where each member of the group could make entries."""
    directory = base / "run/toy0"
    directory.mkdir(parents=True)
    os.chown(directory, 0, EARLIER_GROUP)
    directory.chmod(0o1770)
    planted = ["lock", *(f"{name}.sock.lock" for name in SERVICES)]
    with held_by_a_member([directory / name for name in planted]):
        for name in ("node.sock", "wireguard.sock"):
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(os.fspath(directory / name))
            os.chown(directory / name, STRANGER, STRANGER)
        for name in ("nat", "metrics"):
            (directory / name / "deep").mkdir(parents=True)
            os.chown(directory / name, STRANGER, STRANGER)

        with Supervised(base, interpreter=[public_interpreter()]) as node:
            node.wait_until_ready()

    assert (directory / "lock").stat().st_uid == 0


def test_a_lock_of_an_earlier_version_that_a_member_holds_does_not_stop_a_start(base: Path) -> None:
    directory = base / "run/toy0"
    directory.mkdir(parents=True)
    (directory / "lock").write_text("")
    (directory / "lock").chmod(0o644)
    with held_by_a_member([directory / "lock"]), Supervised(base, interpreter=[public_interpreter()]) as node:
        node.wait_until_ready()


def test_a_node_of_an_earlier_version_that_runs_is_not_disturbed(base: Path) -> None:
    directory = base / "run/toy0"
    directory.mkdir(parents=True)
    lock = directory / "lock"
    lock.write_text(f"{os.getpid()}\n")
    lock.chmod(0o644)
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with Supervised(base, interpreter=[public_interpreter()]) as node:
            assert node.exit_code() == 1
    finally:
        os.close(descriptor)

    assert f"wgmesh already runs on toy0 (pid {os.getpid()})" in "".join(node.text)


def test_a_run_directory_that_others_could_replace_is_refused(base: Path) -> None:
    (base / "run").mkdir()
    (base / "run").chmod(0o777)

    with Supervised(base, interpreter=[public_interpreter()]) as node:
        assert node.exit_code() == 1

    assert "others than root may replace what lies in" in "".join(node.text)
    assert (base / "run").stat().st_mode & 0o777 == 0o777


def test_an_interface_directory_of_another_user_is_refused(base: Path) -> None:
    (base / "run/toy0").mkdir(parents=True)
    os.chown(base / "run/toy0", STRANGER, STRANGER)

    with Supervised(base, interpreter=[public_interpreter()]) as node:
        assert node.exit_code() == 5

    assert f"it belongs to user {STRANGER}" in "".join(node.text)


@pytest.mark.parametrize("planted", ["socket", "link", "nothing"])
def test_what_another_user_has_put_at_the_control_path_is_replaced(base: Path, planted: str) -> None:
    path = base / "control.sock"
    with socket.socket(socket.AF_UNIX) as answering:
        answering.bind(os.fspath(base / "other.sock"))
        answering.listen()
        if planted == "socket":
            (base / "other.sock").rename(path)
        elif planted == "link":
            path.symlink_to(base / "other.sock")
        if planted != "nothing":
            os.chown(path, STRANGER, STRANGER, follow_symlinks=False)

        with sockets.published(SupervisorSettings("toy0", base / "run", base / "state", control_socket=path)):
            assert path.resolve() == socket_path(base / "run/toy0", "node", CONTROL)

    assert not os.path.lexists(path)


@contextmanager
def held_by_a_member(paths: list[Path]) -> Iterator[None]:
    """The files exist, made by the member where he may, and he holds the lock of each."""
    program = """
import fcntl, os, sys, time
held = [os.open(path, os.O_RDONLY | os.O_CREAT, 0o666) for path in sys.argv[1:]]
for descriptor in held:
    fcntl.flock(descriptor, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
    command = [public_interpreter(), "-c", program, *map(os.fspath, paths)]
    with subprocess.Popen(
        command, stdin=PIPE, stdout=PIPE, user=STRANGER, group=STRANGER, extra_groups=[EARLIER_GROUP], umask=0
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield
        assert process.poll() is None
        process.kill()
