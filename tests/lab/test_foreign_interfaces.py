"""An interface of others with the name that a node is to have: it is refused once, and nothing of it changes.

The kind of harm: anything that is done to an interface, its socket or its addresses before it is known whose it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from pages.faults import Observe, Observed
from support.lab.meshes import CONNECTED, start_nodes, the_peer
from support.lab.pings import RunningPing
from support.lab.wireguard_lab import kernel_has_wireguard
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.nodes import MeshNode, new_secret
from wgmesh.demo.waiting import wait_for

BACK_S = 1.0  # what belongs to others is respected within this time, and so is that it goes
KEY = "iAnk2dQGfbMMv2sWqlSLoPZbbJgvyUcJdLrFhpqlPk0="


def picture(host: Host) -> str:
    """All that a node could change of a foreign interface, its socket among it."""
    commands = (
        "ip -details -oneline link show wg0",
        "ip -oneline address show wg0",
        "ip route show table all; ip -6 route show table all; ip rule; ip -6 rule",
        "nft list ruleset",
        "stat -c '%n %u %g %a %i %Z' /run/wireguard/wg0.sock 2>&1",
        "wg show all dump 2>&1",
        "grep -rs . /proc/sys/net/ipv4/conf/wg0 /proc/sys/net/ipv6/conf/wg0; true",
    )
    return "\n".join(host.attempt("sh", "-c", command).stdout for command in commands)


def userspace(host: Host, *commands: str) -> None:
    """A WireGuard device of another program, up and with an address."""
    host.spawn("env", "WG_PROCESS_FOREGROUND=1", "wireguard-go", "-f", "wg0", name="foreign")
    wait_for(lambda: host.attempt("wg", "show", "wg0").returncode == 0, PATIENCE_S, "the foreign device is there")
    for command in (*commands, "ip address add 10.99.0.1/24 dev wg0", "ip link set wg0 up"):
        host.exec("sh", "-c", command)


def keyed_userspace(host: Host) -> None:
    userspace(host, f"echo {KEY} > key; wg set wg0 private-key key listen-port 4711; rm key")


def kernel(host: Host) -> None:
    if not kernel_has_wireguard():
        pytest.skip("this kernel has no WireGuard; tests/kernel looks at it")
    host.ip("link", "add", "wg0", "type", "wireguard")
    host.exec("sh", "-c", f"echo {KEY} > key; wg set wg0 private-key key; rm key")


def veth(host: Host) -> None:
    host.ip("link", "add", "wg0", "type", "veth", "peer", "name", "other")
    host.ip("address", "add", "10.99.0.1/24", "dev", "wg0")
    host.ip("link", "set", "wg0", "up")


def bridge(host: Host) -> None:
    host.ip("link", "add", "wg0", "type", "bridge")
    host.ip("address", "add", "10.99.0.1/24", "dev", "wg0")


def tun(host: Host) -> None:
    host.ip("tuntap", "add", "wg0", "mode", "tun")
    host.ip("address", "add", "10.99.0.1/24", "dev", "wg0")


def macvlan(host: Host) -> None:
    host.ip("link", "add", "wg0", "link", host.interface, "type", "macvlan", "mode", "bridge")


FOREIGN = [userspace, keyed_userspace, kernel, veth, bridge, tun, macvlan]


@pytest.fixture
def host(fabric: Fabric) -> Iterator[Host]:
    (made,) = fabric.add_hosts(["a"])
    yield made


@pytest.mark.fault("The device", "an interface of others has its name when a node starts")
@pytest.mark.parametrize("flags", [(), ("--insecure-single-user",)], ids=["separated", "single user"])
@pytest.mark.parametrize("make", FOREIGN)
def test_an_interface_of_others_is_refused_once_and_nothing_of_it_changes(
    host: Host, make: Callable[[Host], None], flags: tuple[str, ...], observe: Observe
) -> None:
    make(host)
    before = picture(host)
    node = MeshNode(host, new_secret(), *flags)

    done = host.attempt(*node.join_argv())

    assert done.returncode == 1
    (refusal,) = [line for line in done.stderr.splitlines() if line.startswith("wgmesh: ")]
    assert "wg0" in refusal and "was not touched" in refusal and "--interface" in refusal
    assert "child restarts" not in done.stderr + done.stdout
    assert picture(host) == before
    observe(Observed(shown="one refusal that names `--interface`, exit code 1; theirs is as it was"))


@pytest.mark.parametrize("flags", [(), ("--insecure-single-user",)], ids=["separated", "single user"])
def test_a_device_of_the_same_name_in_another_namespace_keeps_its_socket(
    fabric: Fabric, flags: tuple[str, ...]
) -> None:
    """Namespaces do not part the directory of the sockets."""
    host, other = fabric.add_hosts(["a", "b"])
    directory = other.directory / "wireguard"
    directory.rmdir()
    directory.symlink_to(host.directory / "wireguard")
    keyed_userspace(other)
    before = picture(other)

    done = host.attempt(*MeshNode(host, new_secret(), *flags).join_argv())

    assert done.returncode == 1
    assert "was not touched" in done.stderr and "--interface" in done.stderr
    assert picture(other) == before


def test_a_device_of_another_state_directory_is_refused_and_goes_on_working(fabric: Fabric) -> None:
    a, b = start_nodes(fabric, ["a", "b"])
    before = a.host.exec("wg", "show", "wg0", "dump")
    other = a.host.directory / "other"
    with RunningPing(b.host, a.wait_until_ready().mesh_ipv4) as ping:
        elsewhere = ("--state-dir", str(other / "state"), "--runtime-dir", str(other / "run"))
        second = a.host.attempt(*a.join_argv(*elsewhere, "--listen-port", "4999"))
        sent = max(ping.answered())
        wait_for(lambda: max(ping.answered()) > sent + 20, PATIENCE_S, "the tunnel carries on")
    assert second.returncode == 1
    assert ping.lost == []
    assert a.host.exec("wg", "show", "wg0", "dump").split()[:3] == before.split()[:3]
    assert the_peer(a).state == CONNECTED


def test_a_leftover_of_our_own_as_another_user_is_taken_over(host: Host) -> None:
    """The socket of a program that was killed, and our own device that an earlier life had as another user."""
    node = MeshNode(host, new_secret(), "--keep-interface")
    node.start("--insecure-single-user")
    key = node.wait_until_ready().public_key
    assert node.running_process().stop() == 0
    assert host.attempt("wg", "show", "wg0").returncode == 0

    node.start()

    assert node.wait_until_ready().public_key == key


@pytest.mark.fault("The device", "it is deleted, and an interface of others takes its name for a while")
def test_one_that_takes_the_name_while_the_node_runs_is_left_alone_and_told_and_ours_is_back_when_it_goes(
    fabric: Fabric, observe: Observe
) -> None:
    a, b = start_nodes(fabric, ["a", "b"])
    the_peer(a)
    address = b.wait_until_ready().mesh_ipv4
    a.host.exec(
        "sh", "-c", "ip link del wg0; ip link add wg0 type veth peer name other; ip address add 10.99.0.1/24 dev wg0"
    )
    before = picture(a.host)
    told = "is no WireGuard device of this node"
    wait_for(lambda: told in a.running_process().output(), promised(BACK_S), "the node says what is there")
    wait_for(lambda: told in a.cli("plan").stdout + a.cli("plan").stderr, PATIENCE_S, "who asks is told too")
    assert picture(a.host) == before
    lines = a.running_process().output().count(told)

    a.host.ip("link", "del", "wg0")
    since = time.monotonic()

    wait_for(lambda: pings(a.host, address), promised(BACK_S), "our own is back")
    observe(Observed(recovered_s=time.monotonic() - since, shown="what is there, in the log and by `plan`"))
    assert a.running_process().output().count(told) == lines <= 2


def test_ours_that_was_renamed_has_its_name_back_or_is_removed_at_the_end_where_others_have_it(fabric: Fabric) -> None:
    a, b = start_nodes(fabric, ["a", "b"])
    address = b.wait_until_ready().mesh_ipv4
    a.host.exec("sh", "-c", "ip link set wg0 down; ip link set wg0 name mine; ip link set mine up")
    wait_for(lambda: a.host.attempt("wg", "show", "wg0").returncode == 0, promised(BACK_S), "it has its name")
    wait_for(lambda: pings(a.host, address), promised(BACK_S), "and works")

    a.host.exec(
        "sh",
        "-c",
        "ip link set wg0 down; ip link set wg0 name mine; ip link add wg0 type veth peer name other",
    )
    before = a.host.ip("-details", "-oneline", "link", "show", "wg0")
    wait_for(lambda: "named mine by somebody" in a.running_process().output(), PATIENCE_S, "the node says so")
    assert a.host.ip("-details", "-oneline", "link", "show", "wg0") == before
    assert a.running_process().stop() == 0
    assert a.host.ip("-details", "-oneline", "link", "show", "wg0") == before
    assert a.host.attempt("ip", "link", "show", "mine").returncode != 0


def pings(host: Host, address: str) -> bool:
    return host.attempt("ping", "-c", "1", "-W", "1", address).returncode == 0
