"""What the kernel says that the children may do, when the supervisor is root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.interpreters import STRANGER, public_interpreter
from support.supervised import SERVICES, Supervised, import_roots
from wgmesh.supervisor.io import privileges
from wgmesh.supervisor.io.privileges import account_of
from wgmesh.supervisor.settings import CONTROL_GROUP, IDENTITIES, STATE_GROUP

pytestmark = pytest.mark.root  # only root can give privileges away

CAPABILITIES = {"wireguard": 1 << 12, "nat": 1 << 13, "node": 0, "discovery": 0, "metrics": 0}  # NET_ADMIN, NET_RAW
SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_has_exactly_its_capabilities_and_can_gain_none(base: Path, name: str) -> None:
    with Supervised(base) as node:
        status = proc_status(node.wait_until_ready()[name])

    assert {field: int(status[field], 16) for field in SETS} == dict.fromkeys(SETS, CAPABILITIES[name])
    assert status["NoNewPrivs"] == "1"
    keeps_state = IDENTITIES[name].keeps_state
    assert status["Groups"] == (str(privileges.group_id(STATE_GROUP)) if keeps_state else "")


def test_each_service_runs_as_a_user_and_a_group_that_no_other_has(base: Path) -> None:
    with Supervised(base, interpreter=[public_interpreter()]) as node:
        pids = node.wait_until_ready()
        users = {name: proc_status(pid)["Uid"].split() for name, pid in pids.items()}
        groups = {name: proc_status(pid)["Gid"].split() for name, pid in pids.items()}

    accounts = {name: account_of(IDENTITIES[name]) for name in SERVICES}
    assert users == {name: [str(account.uid)] * 4 for name, account in accounts.items()}
    assert groups == {name: [str(account.gid)] * 4 for name, account in accounts.items()}
    outside = {0, privileges.group_id(CONTROL_GROUP), privileges.group_id(STATE_GROUP)}
    assert len({account.uid for account in accounts.values()} | {0}) == len(SERVICES) + 1
    assert len({account.gid for account in accounts.values()} | outside) == len(SERVICES) + 3
    assert node.events("privileges not separated") == node.events("children share user 0") == []


def test_where_another_user_cannot_reach_the_state_the_node_does_not_start_and_says_what_to_do(base: Path) -> None:
    base.chmod(0o700)
    with Supervised(base, interpreter=[public_interpreter()]) as node:
        assert node.exit_code() == 5

    (sentence,) = [line for line in node.text if line.startswith("wgmesh:")]
    assert f"since {base} is closed to it" in sentence
    assert "--insecure-single-user" in sentence
    assert node.events("child started") == []


def test_a_program_in_a_home_directory_is_named_and_the_node_does_not_start(base: Path) -> None:
    home = base / "home"
    (home / "program").mkdir(parents=True)
    home.chmod(0o700)
    command = ["env", f"PYTHONPATH={os.pathsep.join([*import_roots(), str(home / 'program')])}", public_interpreter()]
    with Supervised(base, interpreter=command) as node:
        assert node.exit_code() == 5

    (sentence,) = [line for line in node.text if line.startswith("wgmesh:")]
    assert f"may not use {home}/program, since {home} is closed to it" in sentence
    assert "outside of home directories" in sentence


def test_a_node_that_was_told_to_is_a_single_user_and_each_process_has_only_its_capabilities(base: Path) -> None:
    base.chmod(0o700)
    with Supervised(base, "single user", interpreter=[public_interpreter()]) as node:
        status = proc_status(node.wait_until_ready()["node"])

    assert set(status["Uid"].split()) == {"0"}
    assert int(status["CapBnd"], 16) == 0
    assert len(node.events("children share user 0")) == 1


def test_sockets_of_a_run_as_another_user_are_replaced(base: Path) -> None:
    for scenario in ("single user", "plain", "single user"):
        with Supervised(base, scenario, interpreter=[public_interpreter()]) as node:
            node.wait_until_ready()
            node.process.kill()
            node.exit_code()


def test_a_socket_directory_of_the_host_is_open_to_the_wireguard_user_only_while_the_node_runs(base: Path) -> None:
    sockets = base / "host-run/wireguard"
    sockets.mkdir(parents=True, mode=0o755)
    before = access(sockets)

    with Supervised(base, interpreter=[public_interpreter()]) as node:
        node.wait_until_ready()
        assert privileges.obstacle(account_of(IDENTITIES["wireguard"]), [(sockets, os.W_OK | os.X_OK)]) == ""
        assert privileges.obstacle(account_of(IDENTITIES["nat"]), [(sockets, os.W_OK)]) != ""

    assert access(sockets) == before


def test_a_socket_directory_that_was_missing_is_left_for_other_programs_and_is_roots_alone(base: Path) -> None:
    with Supervised(base, interpreter=[public_interpreter()]) as node:
        node.wait_until_ready()

    sockets = base / "host-run/wireguard"
    assert (sockets.stat().st_uid, *access(sockets)) == (0, 0o40755, [])


def test_what_a_killed_supervisor_left_open_is_closed_by_the_next_also_by_one_that_separates_less(base: Path) -> None:
    sockets = base / "host-run/wireguard"
    sockets.mkdir(parents=True, mode=0o755)
    before = access(sockets)
    with Supervised(base, interpreter=[public_interpreter()]) as node:
        node.wait_until_ready()
        node.process.kill()
    assert access(sockets) != before

    with Supervised(base, "single user", interpreter=[public_interpreter()]) as again:
        again.wait_until_ready()
        assert len(again.events("children share user 0")) == 1

    assert access(sockets) == before


@pytest.mark.parametrize("missing", ["setuid", "setpcap"])
def test_where_the_kernel_refuses_the_node_does_not_start(base: Path, missing: str) -> None:
    refused = ["setpriv", "--bounding-set", f"-{missing}", public_interpreter()]
    with Supervised(base, interpreter=refused) as node:
        assert node.exit_code() == 5

    assert node.events("child started") == []


@pytest.mark.parametrize(
    ("missing", "said"), [("setuid", "children share user 0"), ("setpcap", "privileges not separated")]
)
def test_where_the_kernel_refuses_a_single_user_says_so_once_and_runs(base: Path, missing: str, said: str) -> None:
    refused = ["setpriv", "--bounding-set", f"-{missing}", public_interpreter()]
    with Supervised(base, "single user", interpreter=refused) as node:
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
