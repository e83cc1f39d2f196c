"""What the kernel says that the children may do, when the supervisor is root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.supervised import SERVICES, Supervised
from wgmesh.supervisor.io import privileges
from wgmesh.supervisor.io.privileges import account_of
from wgmesh.supervisor.settings import IDENTITIES

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="only root can give privileges away")]

CAPABILITIES = {"wireguard": 1 << 12, "nat": 1 << 13, "node": 0, "discovery": 0, "metrics": 0}  # NET_ADMIN, NET_RAW
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
STRANGER = 65534


@pytest.fixture
def base() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="wgm"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_has_exactly_its_capabilities_and_can_gain_none(base: Path, name: str) -> None:
    with Supervised(base) as node:
        status = proc_status(node.wait_until_ready()[name])

    assert {field: int(status[field], 16) for field in SETS} == dict.fromkeys(SETS, CAPABILITIES[name])
    assert status["NoNewPrivs"] == "1"
    assert status["Groups"] == ""


def test_each_service_runs_as_its_own_user_in_the_common_group(base: Path) -> None:
    with Supervised(base, interpreter=[public_interpreter()]) as node:
        pids = node.wait_until_ready()
        users = {name: set(proc_status(pid)["Uid"].split()) for name, pid in pids.items()}
        groups = {name: set(proc_status(pid)["Gid"].split()) for name, pid in pids.items()}

    assert users == {name: {str(account_of(IDENTITIES[name]).uid)} for name in SERVICES}
    assert users["wireguard"] != users["node"]
    assert groups == {name: {str(privileges.group_id())} for name in SERVICES}
    assert node.events("privileges not separated") == node.events("children share user 0") == []


def test_the_private_key_goes_to_the_wireguard_user_and_the_peer_cache_to_the_others(base: Path) -> None:
    state = base / "state"
    state.mkdir()
    for name in ("toy0.json", "toy0-peers.json", "toy0-other.json"):
        (state / name).write_text("{}")

    with Supervised(base, interpreter=[public_interpreter()]) as node:
        node.wait_until_ready()

    owners = {path.name: path.stat().st_uid for path in state.iterdir()}
    assert owners["toy0.json"] == account_of(IDENTITIES["wireguard"]).uid
    assert owners["toy0-peers.json"] == account_of(IDENTITIES["node"]).uid
    assert owners["toy0-other.json"] == 0  # the private key of an interface toy0-other
    assert (state / "toy0.json").stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o7777 == 0o1770


def test_a_state_directory_with_foreign_content_keeps_its_owner_and_mode(base: Path) -> None:
    state = base / "state"
    (state / "photographs").mkdir(parents=True)
    state.chmod(0o750)

    with Supervised(base) as node:
        node.wait_until_ready()

    assert (state.stat().st_uid, state.stat().st_gid, state.stat().st_mode & 0o7777) == (0, 0, 0o750)


def test_where_another_user_cannot_reach_the_state_all_share_root_with_their_capabilities_only(base: Path) -> None:
    base.chmod(0o700)
    with Supervised(base, interpreter=[public_interpreter()]) as node:
        status = proc_status(node.wait_until_ready()["node"])

    assert set(status["Uid"].split()) == {"0"}
    assert int(status["CapBnd"], 16) == 0
    assert len(node.events("children share user 0")) == 1


def test_sockets_of_a_run_as_another_user_are_replaced(base: Path) -> None:
    with Supervised(base, interpreter=[public_interpreter()]) as node:
        node.wait_until_ready()
        node.process.kill()
        node.exit_code()
    base.chmod(0o700)

    with Supervised(base, interpreter=[public_interpreter()]) as again:
        again.wait_until_ready()


def test_a_socket_directory_of_the_host_is_open_to_the_wireguard_user_only_while_the_node_runs(base: Path) -> None:
    sockets = base / "host-run/wireguard"
    sockets.mkdir(parents=True, mode=0o755)
    before = access(sockets)

    with Supervised(base, interpreter=[public_interpreter()]) as node:
        node.wait_until_ready()
        assert privileges.obstacle(account_of(IDENTITIES["wireguard"]), [(sockets, os.W_OK | os.X_OK)]) == ""
        assert privileges.obstacle(account_of(IDENTITIES["nat"]), [(sockets, os.W_OK)]) != ""

    assert access(sockets) == before


def test_a_socket_directory_that_was_missing_is_gone_at_the_end(base: Path) -> None:
    with Supervised(base, interpreter=[public_interpreter()]) as node:
        node.wait_until_ready()
        assert (base / "host-run/wireguard").is_dir()

    assert not (base / "host-run/wireguard").exists()


def test_what_a_killed_supervisor_left_open_is_closed_by_the_next_also_by_one_that_separates_less(base: Path) -> None:
    sockets = base / "host-run/wireguard"
    sockets.mkdir(parents=True, mode=0o755)
    before = access(sockets)
    with Supervised(base, interpreter=[public_interpreter()]) as node:
        node.wait_until_ready()
        node.process.kill()
    assert access(sockets) != before
    base.chmod(0o700)

    with Supervised(base, interpreter=[public_interpreter()]) as again:
        again.wait_until_ready()
        assert len(again.events("children share user 0")) == 1

    assert access(sockets) == before


@pytest.mark.parametrize(
    ("missing", "said"), [("setuid", "children share user 0"), ("setpcap", "privileges not separated")]
)
def test_where_the_kernel_refuses_that_is_said_once_and_the_node_runs(base: Path, missing: str, said: str) -> None:
    refused = ["setpriv", "--bounding-set", f"-{missing}", public_interpreter()]
    with Supervised(base, interpreter=refused) as node:
        node.wait_until_ready()

    notices = node.events("children share user 0") + node.events("privileges not separated")
    assert [line["event"] for line in notices] == [said]


def test_a_node_started_by_an_ordinary_user_runs_as_that_user_and_says_so_once(base: Path) -> None:
    base.chmod(0o777)
    as_stranger = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", public_interpreter()]
    with Supervised(base, interpreter=as_stranger) as node:
        status = proc_status(node.wait_until_ready()["wireguard"])

    assert set(status["Uid"].split()) == {str(STRANGER)}
    assert len(node.events("privileges not separated")) == 1


def test_a_state_directory_that_may_not_be_written_is_refused_in_one_sentence_with_the_code_for_permission(
    base: Path,
) -> None:
    (base / "run").mkdir(mode=0o777)
    (base / "run").chmod(0o777)
    (base / "state").mkdir(mode=0o755)
    as_stranger = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups", public_interpreter()]
    with Supervised(base, interpreter=as_stranger) as node:
        assert node.exit_code() == 5

    assert [line for line in node.text if line.startswith("wgmesh:")] == [
        f"wgmesh: {base}/state cannot be used (it may not be written). Start as root, or give a writable directory "
        "with --state-dir.\n"
    ]


def proc_status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def access(path: Path) -> tuple[int, list[str]]:
    return path.stat().st_mode, os.listxattr(path)


def public_interpreter() -> str:
    """A Python of this version that every user may execute: the one of the tests can lie in somebody's home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        try:
            subprocess.run([candidate, "-c", "import asyncio"], user=STRANGER, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    pytest.skip(f"no {version} that an ordinary user may execute")
