"""Who runs as whom, as the kernel sees it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.interpreters import STRANGER, public_interpreter
from support.lab.meshes import start_nodes
from support.lab.metrics_page import FLAGS, samples
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import SERVICES, MeshNode, new_secret
from wgmesh.demo.prerequisites import others_can_read_the_program
from wgmesh.demo.waiting import wait_for
from wgmesh.runtime.callers import CALLERS
from wgmesh.supervisor.io.privileges import group_id
from wgmesh.supervisor.settings import CONTROL_GROUP

# linux/capability.h
CAP_NET_ADMIN = 1 << 12
CAP_NET_RAW = 1 << 13
ALLOWED = {"wireguard": CAP_NET_ADMIN, "nat": CAP_NET_RAW}


@pytest.fixture(scope="module")
def node() -> Iterator[MeshNode]:
    with Fabric() as fabric:
        yield start_nodes(fabric, ["a", "b"], *FLAGS)[0]


def kernel_status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_has_only_what_it_needs(node: MeshNode, name: str) -> None:
    status = kernel_status(node.service_pids()[name])
    allowed = ALLOWED.get(name, 0)
    assert int(status["CapEff"], 16) == allowed
    assert int(status["CapPrm"], 16) == allowed
    assert int(status["CapBnd"], 16) & ~allowed == 0
    assert int(status["CapAmb"], 16) & ~allowed == 0
    assert status["NoNewPrivs"] == "1"


def test_each_process_has_a_user_of_its_own_where_such_a_user_can_read_the_program(node: MeshNode) -> None:
    users = {name: kernel_status(pid)["Uid"].split()[0] for name, pid in node.service_pids().items()}
    assert users.keys() == set(SERVICES)
    separated = others_can_read_the_program()
    assert len(set(users.values())) == (len(SERVICES) if separated else 1)
    assert ("0" in users.values()) is not separated
    assert ("children share user 0" in node.running_process().output()) is not separated


def test_status_and_a_metric_say_whether_the_processes_are_separated(node: MeshNode) -> None:
    separated = others_can_read_the_program()
    assert json.loads(node.cli("status", "--json").stdout)["privileges_separated"] is separated
    assert ("Privileges: separated\n" in node.cli("status").stdout) is separated

    def measured() -> list[float]:
        return [sample.value for sample in samples(node) if sample.name == "wgmesh_privileges_separated"]

    assert wait_for(measured, PATIENCE_S, "the metric is there") == [float(separated)]


@pytest.mark.attack("another user of the machine", "call the inner services, as a member of the group `wgmesh`")
def test_a_member_of_the_control_group_asks_the_node_and_nobody_else(node: MeshNode) -> None:
    member = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", f"--groups={group_id(CONTROL_GROUP)}"]
    interpreter = public_interpreter()
    program = "import socket, sys\nfor path in sys.argv[1:]: socket.socket(socket.AF_UNIX).connect(path)"
    directory = node.socket_path.parent
    paths = [path for path in directory.rglob("*/*.sock") if path.resolve() != node.socket_path.resolve()]

    assert node.host.attempt(*member, interpreter, "-c", program, str(node.socket_path)).returncode == 0
    assert len(paths) == sum(map(len, CALLERS.values())) - 1
    for path in paths:
        refused = node.host.attempt(*member, interpreter, "-c", program, str(path))
        assert "PermissionError" in refused.stderr, path


@pytest.mark.attack("another user of the machine", "keep a killed node from starting again")
def test_a_killed_node_starts_again_although_a_member_holds_and_plants_what_he_can(fabric: Fabric) -> None:
    """In the directory as an earlier version left it: root's, with the group able to make entries."""
    node = MeshNode(fabric.add_host("c"), new_secret(), "--no-stun", "--no-dht")
    node.start()
    node.wait_until_ready()
    node.running_process().kill()
    directory = node.socket_path.parent
    os.chown(directory, 0, group_id(CONTROL_GROUP))
    directory.chmod(0o1770)
    (directory / "lock").unlink()
    (directory / "node.sock").unlink()
    member = ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", f"--groups={group_id(CONTROL_GROUP)}"]
    names = ("lock", "node.sock.lock", "wireguard.sock.lock")
    held = " ".join(f"{number}>{directory}/{name}" for number, name in enumerate(names, 3))
    script = f"exec {held}; flock 3; flock 4; flock 5; mkfifo {directory}/node.sock; echo held; exec sleep 600"
    holder = node.host.spawn(*member, "sh", "-c", script, name="holder")
    wait_for(lambda: "held" in holder.output(), PATIENCE_S, "the locks are held")

    node.start()
    node.wait_until_ready()

    assert holder.running
    assert directory.stat().st_mode & 0o7777 == 0o755


def test_the_private_key_is_readable_to_its_owner_alone(node: MeshNode) -> None:
    assert node.state_file.stat().st_mode & 0o777 == 0o600
