"""Where the secret of a running node is: in the memory of two of its processes, and in nothing else that root can read.

The kind: whatever is in the memory, the arguments or the environment of a process is inherited by all that are forked
from it, and the processes that parse packets are forked from the one that was given the secret.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.process_memory import found_in
from support.waiting import PATIENCE_S
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import SERVICES, MeshNode, new_secret, program
from wgmesh.demo.waiting import wait_for

PRIVY = {"discovery", "node"}  # they compute the addresses of members, for which the secret itself is hashed
QUIET = ("--no-stun", "--no-dht", "--metrics", "127.0.0.1:9090")
WITH_INPUT = ("sh", "-c", 'file="$1"; shift; exec "$@" <"$file"', "sh")
# over /etc, which may have no directory wgmesh; this mount namespace is the command's own
WITH_SYSTEM_FILE = ("sh", "-c", 'mount -t overlay -o "lowerdir=$1:/etc" none /etc && shift && exec "$@"', "sh")

Call = tuple[list[str], dict[str, str]]


def join(*words: str) -> list[str]:
    return [program(), "join", *words]


def by_configuration(file: Path) -> Call:
    configuration = file.with_name("wgmesh.toml")
    configuration.write_text(f'secret-file = "{file}"\n')
    return join("--config", str(configuration)), {}


def by_system_file(file: Path) -> Call:
    place = file.parent / "etc" / "wgmesh"
    place.mkdir(parents=True)
    (place / "secret").write_text(file.read_text())
    (place / "secret").chmod(0o600)
    return [*WITH_SYSTEM_FILE, str(place.parent), *join()], {}


SOURCES: dict[str, Callable[[str, Path], Call]] = {
    "--secret": lambda secret, file: (join("--secret", secret), {}),
    "--secret=": lambda secret, file: (join(f"--secret=wgmesh://v1/{secret}"), {}),
    "--secret -": lambda secret, file: ([*WITH_INPUT, str(file), *join("--secret", "-")], {}),
    "--secret-file": lambda secret, file: (join("--secret-file", str(file)), {}),
    "WGMESH_SECRET": lambda secret, file: (join(), {"WGMESH_SECRET": secret}),
    "WGMESH_SECRET, not used": lambda secret, file: (
        join("--secret-file", str(file)),
        {"WGMESH_SECRET": f"{secret}, of before"},
    ),
    "WGMESH_SECRET_FILE": lambda secret, file: (join(), {"WGMESH_SECRET_FILE": str(file)}),
    "the configuration's secret-file": lambda secret, file: by_configuration(file),
    "/etc/wgmesh/secret": lambda secret, file: by_system_file(file),
}


@pytest.mark.attack("a program in a process of a node", "find the secret in arguments, environment or memory")
@pytest.mark.parametrize("source", SOURCES)
def test_the_secret_lies_in_two_processes_however_it_was_given_and_in_no_argument_or_environment(
    fabric: Fabric, source: str
) -> None:
    secret = new_secret()
    node = started(fabric.add_host("a"), secret, source)
    pids = processes(node)
    needles = forms(secret)

    holders = {name: found_in(pid, needles) for name, pid in pids.items()}

    assert all("text" in holders[name] for name in PRIVY), "the search finds it where it has to be"
    assert {name: found for name, found in holders.items() if found and name not in PRIVY} == {}
    for name, pid in pids.items():
        shown = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert secret.encode() not in shown, name
    assert secret not in node.running_process().output()
    comm = Path(f"/proc/{pids['supervisor']}/comm").read_text()
    assert comm == "wgmesh\n", "a program that has started itself again has its name still"


def test_a_service_that_was_restarted_has_no_more_of_the_secret_than_before(fabric: Fabric) -> None:
    secret = new_secret()
    node = started(fabric.add_host("a"), secret, "--secret")
    before = {name: node.kill_service(name) for name in ("nat", "discovery")}
    wait_for(
        lambda: all(node.service_pids().get(name, pid) != pid for name, pid in before.items()),
        PATIENCE_S,
        "both are back",
    )
    node.wait_until_ready()

    holders = {name: found_in(pid, forms(secret)) for name, pid in processes(node).items()}

    assert {name for name, found in holders.items() if found} == PRIVY


def test_only_those_that_need_the_secret_and_the_supervisor_that_hands_it_out_hold_its_file(fabric: Fabric) -> None:
    node = started(fabric.add_host("a"), new_secret(), "WGMESH_SECRET")

    holders = {
        name
        for name, pid in processes(node).items()
        if any("wgmesh-secret" in os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir())
    }

    assert holders == {"supervisor"}


@pytest.mark.attack("a program in a process of a node", "read the memory of another process, or its core")
def test_no_process_of_a_node_leaves_a_core_and_none_lets_others_of_its_user_look_in(fabric: Fabric) -> None:
    node = started(fabric.add_host("a"), new_secret(), "--secret-file")

    for name, pid in processes(node).items():
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        assert [line.split()[4:6] for line in limits if line.startswith("Max core file size")] == [["0", "0"]], name
        if name != "wireguard-go":  # the kernel makes every program dumpable whose file may be read
            assert Path(f"/proc/{pid}/environ").stat().st_uid == 0, f"{name}: not its user's own, so not dumpable"
            assert not is_open_to_its_own_user(pid), name


def started(host: Host, secret: str, source: str) -> MeshNode:
    """A node that runs, which was given its secret in this way."""
    node = MeshNode(host, secret)
    argv, environment = SOURCES[source](secret, node.secret_file)
    directories = ("--state-dir", str(host.state_dir), "--runtime-dir", str(host.runtime_dir))
    node.process = host.spawn(
        *argv, *directories, "--interface", "wg0", *QUIET, name="join-wg0", environment=os.environ | environment
    )
    node.wait_until_ready()
    return node


def processes(node: MeshNode) -> dict[str, int]:
    """All processes of the node by name, with the supervisor and userspace WireGuard where it is used."""
    services = node.service_pids()
    assert services.keys() == set(SERVICES)
    named = services | {"supervisor": node.running_process().pid}
    others = set(node.host.pids()) - set(named.values())
    return named | {Path(f"/proc/{pid}/comm").read_text().strip(): pid for pid in others}


def is_open_to_its_own_user(pid: int) -> bool:
    """Whether a process of the same user, without any capability, may read the memory of this one."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    uid, gid = (int(status[name].split()[0]) for name in ("Uid", "Gid"))
    script = f"exec setpriv --reuid {uid} --regid {gid} --clear-groups --bounding-set=-all --inh-caps=-all head -c 1"
    return subprocess.run(["sh", "-c", f"{script} /proc/{pid}/maps"], capture_output=True, check=False).returncode == 0


def forms(secret: str) -> dict[str, bytes]:
    """The secret as programs hold it, and the keys that open the mesh's messages."""
    keys = derive(Secret(secret))
    return {
        "text": secret.encode(),
        "wide text": secret.encode("utf-32-le"),
        "gossip key": keys.gossip_key,
        "membership key": keys.membership_key,
        "private DHT key": keys.private_dht_key,
    }
