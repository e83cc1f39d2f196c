"""The command line without root: who is in the group `wgmesh` may use a node, and nobody else."""

from __future__ import annotations

import os

import pytest
from support.lab.meshes import StartMesh
from wgmesh.demo.nodes import MeshNode, program
from wgmesh.demo.prerequisites import others_can_read_the_program
from wgmesh.supervisor.io.privileges import group_id
from wgmesh.supervisor.settings import CONTROL_GROUP

NOBODY = 65534


def asked_by_a_user(node: MeshNode, *words: str, groups: str) -> int:
    """The exit code of a command that an ordinary user runs, with these groups beside his own."""
    environment = os.environ | {"WGMESH_SOCKET": str(node.socket_path)}
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", groups, "--inh-caps=-all", "--bounding-set=-all"]
    return node.host.attempt(*user, program(), *words, environment=environment).returncode


def test_members_of_the_group_ask_ping_and_stop_a_node_and_other_users_do_not(start_mesh: StartMesh) -> None:
    if not others_can_read_the_program():
        pytest.skip("the program lies where other users cannot read it")
    a, _ = start_mesh("a b")
    member, other = f"--groups={group_id(CONTROL_GROUP)}", "--clear-groups"
    for part in (a.host.directory, *a.host.directory.parents):
        if part.stat().st_uid == os.geteuid() and not part.stat().st_mode & 0o001:
            part.chmod(part.stat().st_mode | 0o011)  # the fabric's own directory, which only its maker may enter

    calls = (("status",), ("peers", "list"), ("ping", "b", "-c", "1"), ("down",))
    assert [asked_by_a_user(a, *words, groups=other) for words in calls] == [5, 5, 5, 5]
    assert [asked_by_a_user(a, *words, groups=member) for words in calls] == [0, 0, 0, 0]
    assert a.running_process().exit_code == 0
