"""Who runs as whom, as the kernel sees it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.meshes import start_nodes
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import SERVICES, MeshNode

# linux/capability.h
CAP_NET_ADMIN = 1 << 12
CAP_NET_RAW = 1 << 13
ALLOWED = {"wireguard": CAP_NET_ADMIN, "nat": CAP_NET_RAW}


@pytest.fixture(scope="module")
def node() -> Iterator[MeshNode]:
    with Fabric() as fabric:
        yield start_nodes(fabric, ["a", "b"], "--metrics", "127.0.0.1:9090")[0]


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


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_runs_as_an_unprivileged_user_where_such_a_user_can_read_the_program(
    node: MeshNode, name: str
) -> None:
    status = kernel_status(node.service_pids()[name])
    is_root = "0" in status["Uid"].split()
    assert is_root is not program_is_readable_for_others()
    assert ("children share user 0" in node.running_process().output()) is is_root


def program_is_readable_for_others() -> bool:
    """Whether each folder above the interpreter and above this project lets other users through."""
    places = (Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), Path(__file__).resolve())
    folders = {folder for place in places for folder in place.parents}
    return all(folder.stat().st_mode & 0o001 for folder in folders)


def test_the_private_key_is_readable_to_its_owner_alone(node: MeshNode) -> None:
    assert node.state_file.stat().st_mode & 0o777 == 0o600


def test_the_secret_stands_in_no_argument_and_in_no_log(node: MeshNode) -> None:
    secret = node.secret_file.read_text().strip()
    for pid in (node.running_process().pid, *node.service_pids().values()):
        assert secret not in Path(f"/proc/{pid}/cmdline").read_text()
    assert secret not in node.running_process().output()
