"""The lab's own network: separate, quick, and gone afterwards."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import NETNS_DIR, PREFIX, Fabric, sweep
from wgmesh.demo.host import CommandFailed, Host
from wgmesh.demo.pinger import Pinger, Target
from wgmesh.demo.waiting import wait_for


def ours() -> list[str]:
    """What this program has on the machine: namespaces and directories."""
    mine = f"{PREFIX}-{os.getpid()}-"
    places = (NETNS_DIR, Path(tempfile.gettempdir()))
    return [path.name for place in places if place.exists() for path in place.glob(f"{mine}*")]


def host_network() -> str:
    return subprocess.run(["ip", "-oneline", "addr"], capture_output=True, text=True, check=True).stdout


def test_machines_of_one_lan_reach_each_other_and_nothing_else(fabric: Fabric) -> None:
    a, b = fabric.add_hosts(["a", "b"])
    a.exec("ping", "-c", "1", "-W", "2", str(b.ipv4))
    a.exec("ping", "-c", "1", "-W", "2", str(b.ipv6))
    assert "default" not in a.exec("ip", "route") + a.exec("ip", "-6", "route")
    assert a.exec("cat", "/etc/resolv.conf") == ""
    assert a.exec("cat", "/proc/sys/kernel/hostname") == "a\n"


def test_all_pairs_are_pinged_at_once(fabric: Fabric) -> None:
    hosts = fabric.add_hosts([f"n{number}" for number in range(5)])
    targets = [Target(a.name, str(b.ipv4)) for a in hosts for b in hosts if a is not b]
    with Pinger(hosts) as pinger:
        wait_for(lambda: len(pinger.ping(targets, 0.2)) == len(targets), PATIENCE_S, "all pairs answer")
        hosts[0].set_link(up=False)
        others = {"n1", "n2", "n3", "n4"}
        wait_for(
            lambda: {target.source for target in pinger.ping(targets, 0.2)} == others, PATIENCE_S, "all others answer"
        )


def test_isolated_machines_still_reach_the_others(fabric: Fabric) -> None:
    a, b, c = fabric.add_hosts(["a", "b", "c"])
    a.set_isolated(True)
    b.set_isolated(True)
    with Pinger([a]) as pinger:
        reached = wait_for(
            lambda: pinger.ping([Target("a", str(b.ipv4)), Target("a", str(c.ipv4))], 0.3), PATIENCE_S, "one answers"
        )
    assert [target.address for target in reached] == [str(c.ipv4)]


def test_loss_loses_about_what_it_says(fabric: Fabric) -> None:
    a, b = fabric.add_hosts(["a", "b"])
    b.set_loss(50)
    assert 20 < lost_percent(a, b) < 80
    b.set_loss(0)
    assert lost_percent(a, b) == 0


def lost_percent(a: Host, b: Host) -> int:
    shown = a.exec("ping", "-n", "-q", "-c", "100", "-i", "0.005", "-W", "2", str(b.ipv4))
    return int(re.search(r"(\d+)% packet loss", shown)[1])  # type: ignore[index]


def test_a_machine_on_two_lans_reaches_both(fabric: Fabric) -> None:
    fabric.add_lan("second")
    a, b = fabric.add_host("a"), fabric.add_host("b", "second")
    fabric.attach(a, "second")
    a.exec("ping", "-c", "1", "-W", "2", str(b.ipv4))


def tunnel(host: Host, number: int) -> str:
    """Starts a WireGuard device by hand and returns its public key."""
    key = host.exec("wg", "genkey")
    host.spawn("wireguard-go", "-f", "wg0", name="wireguard-go")
    wait_for(lambda: (host.directory / "wireguard" / "wg0.sock").exists(), PATIENCE_S, "the device is there")
    host.exec("wg", "set", "wg0", "listen-port", "51820", "private-key", "/dev/stdin", stdin=key)
    host.ip("addr", "add", f"10.99.0.{number}/24", "dev", "wg0")
    host.ip("link", "set", "wg0", "up")
    return host.exec("wg", "show", "wg0", "public-key").strip()


@pytest.mark.skipif(shutil.which("wireguard-go") is None, reason="by hand only the userspace WireGuard is started")
def test_every_machine_can_have_a_device_of_the_same_name(fabric: Fabric) -> None:
    a, b = fabric.add_hosts(["a", "b"])
    key_a, key_b = tunnel(a, 1), tunnel(b, 2)
    b.exec("wg", "set", "wg0", "peer", key_a, "allowed-ips", "10.99.0.1/32")
    a.exec("wg", "set", "wg0", "peer", key_b, "allowed-ips", "10.99.0.2/32", "endpoint", f"{b.ipv4}:51820")
    a.exec("ping", "-c", "3", "-i", "0.1", "-W", "2", "10.99.0.2")


def test_nothing_is_left_and_the_machine_is_as_before() -> None:
    before, left_before = host_network(), ours()
    with Fabric() as fabric:
        host = fabric.add_host("a")
        process = host.spawn("sleep", "60", name="sleep")
        assert fabric.directory.name in ours()
        assert host_network() == before
    assert not process.running
    assert ours() == left_before


def test_cleaning_happens_also_after_ctrl_c() -> None:
    left_before = ours()
    with pytest.raises(KeyboardInterrupt), Fabric() as fabric:
        fabric.add_host("a")
        raise KeyboardInterrupt
    assert ours() == left_before


def test_ctrl_c_while_it_cleans_up_takes_effect_when_all_is_gone() -> None:
    left_before = ours()
    with pytest.raises(KeyboardInterrupt), Fabric() as fabric:
        once_told_to_end = f"trap 'kill -INT {os.getpid()}; exit' TERM; echo; while :; do sleep 0.05; done"
        process = fabric.add_host("a").spawn("sh", "-c", once_told_to_end, name="interrupter")
        wait_for(process.output, 5.0, "the shell has set its trap")
    assert ours() == left_before


def test_what_was_made_is_removed_also_where_making_the_rest_failed() -> None:
    left_before = ours()
    with pytest.raises(CommandFailed), Fabric() as fabric:
        fabric.add_hosts(["a", "not/a/name"])
    assert ours() == left_before


def test_what_a_killed_run_left_is_swept_and_what_lives_is_not(fabric: Fabric) -> None:
    fabric.add_host("alive")
    ended = subprocess.Popen(["true"])
    ended.wait()
    dead = f"{PREFIX}-{ended.pid}-1-a"
    subprocess.run(["ip", "netns", "add", dead], check=True)
    foreign = f"foreign-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", foreign], check=True)
    try:
        assert dead in sweep()
        assert (NETNS_DIR / foreign).exists()
        assert all((NETNS_DIR / host.namespace).exists() for host in fabric.hosts.values())
    finally:
        subprocess.run(["ip", "netns", "delete", foreign], check=True)
