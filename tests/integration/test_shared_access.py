"""What the nodes of one machine share, in whatever run directory and mount namespace: nobody takes it from another."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import pytest
from support.host_places import HostPlaces, own_tun_device
from support.interpreters import STRANGER, public_interpreter
from support.supervised import SERVICES, Supervised, import_roots
from support.waiting import PATIENCE_S
from wgmesh.supervisor import access_list
from wgmesh.supervisor.io.privileges import account_of, group_id, obstacle
from wgmesh.supervisor.settings import CONTROL_GROUP, IDENTITIES

pytestmark = pytest.mark.root  # only root can give privileges away

WIREGUARD = account_of(IDENTITIES["wireguard"])
MARK = group_id(CONTROL_GROUP)
LONGER_THAN_A_START_S = 2.0  # below the 5 s for which a start waits
STORM_PROCESSES = 6
STORM_ROUNDS = 25
STORM_PATIENCE_S = 120.0  # it takes about 5 s


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with nodes."""

    base: Path
    places: HostPlaces
    tun: Path

    def node(self, name: str, interpreter: str = "") -> Supervised:
        """A node with directories and mounts of its own."""
        base = self.base / name
        base.mkdir(exist_ok=True)
        return Supervised(base, interpreter=[interpreter or public_interpreter()], places=self.places)

    def lack(self) -> str:
        """What the wireguard process cannot use of what it needs."""
        return obstacle(WIREGUARD, [(self.places.sockets, os.R_OK | os.W_OK | os.X_OK), (self.tun, os.R_OK | os.W_OK)])

    def access(self) -> list[tuple[int, list[str]]]:
        return [(path.stat().st_mode, os.listxattr(path)) for path in (self.places.sockets, self.tun)]


@pytest.fixture
def machine(base: Path) -> Iterator[Machine]:
    (base / "host-run/wireguard").mkdir(parents=True, mode=0o755)
    with own_tun_device() as tun:
        yield Machine(base, HostPlaces(base / "host-run", tun), tun)


def test_a_node_that_ends_leaves_what_another_needs_and_the_last_leaves_all_as_it_was(machine: Machine) -> None:
    before = machine.access()
    with machine.node("a") as a:
        a.wait_until_ready()
        with machine.node("b") as b:
            b.wait_until_ready()
        assert machine.lack() == ""
        assert machine.access() != before

    assert machine.access() == before


def test_what_a_killed_node_left_is_taken_back_by_the_last_of_the_others_and_not_before(machine: Machine) -> None:
    before = machine.access()
    with machine.node("a") as a:
        a.wait_until_ready()
        with machine.node("b") as b:
            b.wait_until_ready()
            b.process.kill()
        with machine.node("c") as c:
            c.wait_until_ready()
        assert machine.lack() == ""

    assert machine.access() == before


def test_a_node_that_starts_while_the_last_ends_waits_and_then_gives_itself_the_access(machine: Machine) -> None:
    with machine.node("a") as a:
        a.wait_until_ready()
        a.process.kill()
    device, directory = (os.open(path, os.O_RDONLY) for path in (machine.tun, machine.places.sockets / "wgmesh.lock"))
    for descriptor in (device, directory):
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    with machine.node("b") as b:
        with ThreadPoolExecutor(1) as readers:
            ready = readers.submit(b.wait_until_ready)
            early, _ = wait([ready], LONGER_THAN_A_START_S)
            for path in (machine.places.sockets, machine.tun):
                data = os.getxattr(path, access_list.ATTRIBUTE)
                os.setxattr(path, access_list.ATTRIBUTE, access_list.reduced(data, WIREGUARD.uid, MARK))
            os.close(device)
            os.close(directory)
        assert machine.lack() == ""

    assert not early
    assert b.events("children share user 0") == []


@pytest.mark.parametrize("others", [(), (4711,)], ids=["alone", "with others"])
def test_what_an_administrator_has_granted_stays(machine: Machine, others: tuple[int, ...]) -> None:
    for path, permissions in ((machine.places.sockets, 7), (machine.tun, 6)):
        os.setxattr(path, access_list.ATTRIBUTE, by_hand(path, permissions, (*others, WIREGUARD.uid)))
    before = [os.getxattr(path, access_list.ATTRIBUTE) for path in (machine.places.sockets, machine.tun)]

    with machine.node("a") as a:
        a.wait_until_ready()

    assert [os.getxattr(path, access_list.ATTRIBUTE) for path in (machine.places.sockets, machine.tun)] == before
    assert a.events("children share user 0") == []


def test_a_list_of_others_is_not_rewritten_even_where_it_lacks_the_wireguard_process(machine: Machine) -> None:
    os.setxattr(machine.tun, access_list.ATTRIBUTE, by_hand(machine.tun, 6, [4711]))
    before = os.getxattr(machine.tun, access_list.ATTRIBUTE)

    with machine.node("a") as a:
        assert a.exit_code() == 5

    assert os.getxattr(machine.tun, access_list.ATTRIBUTE) == before
    (sentence,) = [line for line in a.text if line.startswith("wgmesh:")]
    assert f"user {WIREGUARD.uid} may not use /dev/net/tun" in sentence
    assert f"setfacl -m u:{WIREGUARD.uid}:rwX" in sentence


def test_what_an_administrator_adds_while_a_node_runs_stays_and_only_ours_goes(machine: Machine) -> None:
    with machine.node("a") as a:
        a.wait_until_ready()
        ours = os.getxattr(machine.tun, access_list.ATTRIBUTE)
        entry = access_list.ENTRY.pack(access_list.USER, 6, 4711)
        at = 4 + access_list.ENTRY.size  # users stand in the order of their numbers
        os.setxattr(machine.tun, access_list.ATTRIBUTE, ours[:at] + entry + ours[at:])

    left = os.getxattr(machine.tun, access_list.ATTRIBUTE)
    assert entry in left
    assert not access_list.is_ours(left, WIREGUARD.uid, MARK)
    assert machine.lack() != ""


def test_an_ordinary_user_cannot_hold_up_a_start(machine: Machine) -> None:
    with held_by_a_stranger(machine.places.sockets), machine.node("a") as a:
        a.wait_until_ready()
        lock = machine.places.sockets / "wgmesh.lock"
        assert (lock.stat().st_uid, lock.stat().st_mode & 0o777) == (0, 0o600)

    assert a.events("children share user 0") == []


def test_no_child_inherits_the_device_or_the_locks(machine: Machine) -> None:
    with machine.node("a") as a:
        children = a.wait_until_ready()
        own = open_files(a.process.pid)
        of_children = {name: open_files(pid) for name, pid in children.items()}

    shared = {identity(machine.tun), identity(machine.places.sockets / "wgmesh.lock")}
    assert shared <= own
    assert of_children.keys() == SERVICES
    assert all(not files & shared for files in of_children.values())


def test_a_device_that_everybody_may_use_is_not_even_opened(machine: Machine) -> None:
    machine.tun.chmod(0o666)
    with machine.node("a") as a:
        a.wait_until_ready()
        assert identity(machine.tun) not in open_files(a.process.pid)
        assert os.listxattr(machine.tun) == []


def test_in_a_storm_of_starts_ends_and_kills_nobody_lacks_what_he_was_granted(machine: Machine) -> None:
    before = machine.access()
    program = Path(__file__).parents[1] / "support/programs/access_storm.py"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(import_roots())}

    storm = [
        subprocess.Popen(
            [
                *machine.places.command(),
                *(sys.executable, str(program), str(machine.base / str(seed)), str(STORM_ROUNDS), str(seed)),
            ],
            stdout=PIPE,
            text=True,
            env=environment,
        )
        for seed in range(STORM_PROCESSES)
    ]
    complaints = [process.communicate(timeout=STORM_PATIENCE_S)[0] for process in storm]
    with machine.node("last") as last:
        last.wait_until_ready()

    assert [process.returncode for process in storm] == [0] * STORM_PROCESSES
    assert complaints == [""] * STORM_PROCESSES
    assert machine.access() == before


def by_hand(path: Path, permissions: int, users: Sequence[int]) -> bytes:
    """A list as setfacl(1) makes it."""
    mode = path.stat().st_mode
    entries = [
        (access_list.USER_OBJ, mode >> 6 & 7, access_list.NO_ID),
        *((access_list.USER, permissions, user) for user in users),
        (access_list.GROUP_OBJ, mode >> 3 & 7, access_list.NO_ID),
        (access_list.MASK, permissions, access_list.NO_ID),
        (access_list.OTHER, mode & 7, access_list.NO_ID),
    ]
    return struct.pack("<I", access_list.VERSION) + b"".join(access_list.ENTRY.pack(*entry) for entry in entries)


@contextmanager
def held_by_a_stranger(directory: Path) -> Iterator[None]:
    """An ordinary user has the exclusive lock of a directory that he can read."""
    script = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [public_interpreter(), "-c", script, str(directory)], user=STRANGER, stdin=PIPE, stdout=PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield
        process.communicate(b"\n", timeout=PATIENCE_S)


def identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def open_files(pid: int) -> set[tuple[int, int]]:
    return {identity(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
