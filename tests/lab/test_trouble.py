"""A host that is in trouble: a disk without room, files cut short, a name server that never answers."""

from __future__ import annotations

import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pages.faults import Observe, Observed
from support.lab.meshes import start_nodes
from support.promises import promised
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for

PEERS = "wg0-peers.json"
DISK_BYTES = 64 * 1024


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0755", "tmpfs", str(directory)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def test_a_full_disk_costs_no_tunnel_and_what_is_to_be_kept_is_written_once_there_is_room(fabric: Fabric) -> None:
    secret = new_secret()
    a, b, c = (MeshNode(host, secret, "--no-stun", "--no-dht") for host in fabric.add_hosts(["a", "b", "c"]))
    filler = a.host.state_dir / "filler"
    with small_disk(a.host.state_dir):
        a.start()
        a.wait_until_ready()
        with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        for node in (b, c):
            node.start()
        wait_for_full_mesh([a, b, c])
        wait_for(lambda: "not written" in a.running_process().output(), PATIENCE_S, "the operator is told in the log")
        assert not (a.host.state_dir / PEERS).exists()
        services = a.service_pids()
        filler.unlink()
        key = b.wait_until_ready().public_key
        wait_for(
            lambda: (a.host.state_dir / PEERS).exists() and _mentions(a.host.state_dir / PEERS, key),
            2 * PATIENCE_S,
            "the peers are written after all",
        )
        assert a.service_pids() == services
        a.running_process().stop()


def test_a_full_disk_at_the_first_start_is_refused_in_one_sentence(fabric: Fabric) -> None:
    """Without its identity a node would be another one after each start."""
    a = MeshNode(fabric.add_host("a"), new_secret(), "--no-stun", "--no-dht")
    with small_disk(a.host.state_dir):
        with (
            pytest.raises(OSError, match="No space left"),
            (a.host.state_dir / "filler").open("wb", buffering=0) as file,
        ):
            while True:
                file.write(bytes(4096))
        assert a.start().wait(PATIENCE_S) != 0
        assert "No space left" in a.running_process().output()
        assert not a.state_file.exists()


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_peer_cache_that_was_cut_is_no_obstacle(fabric: Fabric, kept: float) -> None:
    a, b = start_nodes(fabric, ["a", "b"], "--no-stun", "--no-dht")
    a.running_process().stop()
    path = a.host.state_dir / PEERS
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    a.start()
    wait_for_full_mesh([a, b])


def test_a_name_server_that_never_answers_delays_nothing(fabric: Fabric) -> None:
    """Names to resolve are those of --peer, of the STUN servers and of the DHT, so all ways at once wait for it."""
    server = fabric.add_host("server")
    server.nft("table inet deaf { chain in { type filter hook input priority 0; udp dport 53 drop\n}\n}\n")
    secret = new_secret()
    nodes = [MeshNode(host, secret, "--peer", "nobody.example:51821") for host in fabric.add_hosts(["a", "b"])]
    for node in nodes:
        node.host.write_resolver(f"nameserver {server.ipv4}\n")
        node.start()
    wait_for_full_mesh(nodes, promised(6.0))
    assert nodes[0].cli("status").returncode == 0
    nodes[0].running_process().stop()  # raises if it does not end in time


@pytest.mark.fault("Files of the host", "the state directory vanishes, and the device with it")
def test_a_state_directory_that_vanishes_costs_no_tunnel_and_no_repair_and_is_shown_until_it_is_back(
    fabric: Fabric, observe: Observe
) -> None:
    a, b = start_nodes(fabric, ["a", "b"], "--no-stun", "--no-dht")
    kept = a.host.state_dir.with_name("kept")
    a.host.state_dir.rename(kept)

    wait_for(lambda: "state-not-kept" in a.cli("status").stdout, 2 * PATIENCE_S, "status warns")
    a.host.ip("link", "del", "wg0")
    since = time.monotonic()
    wait_for_full_mesh([a, b])
    observe(Observed(recovered_s=time.monotonic() - since, shown="warning `state-not-kept` until it is back"))
    assert a.cli("status").returncode == 0

    kept.rename(a.host.state_dir)
    wait_for(lambda: "state-not-kept" not in a.cli("status").stdout, 2 * PATIENCE_S, "the warning ends")


@pytest.mark.fault("Files of the host", "the state directory becomes read-only, and the device is deleted")
def test_a_state_directory_that_becomes_read_only_costs_no_tunnel_and_no_repair(
    fabric: Fabric, observe: Observe
) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret, "--no-stun", "--no-dht") for host in fabric.add_hosts(["a", "b"]))
    with small_disk(a.host.state_dir):
        for node in (a, b):
            node.start()
        wait_for_full_mesh([a, b])
        subprocess.run(["mount", "-o", "remount,ro", str(a.host.state_dir)], check=True)
        wait_for(lambda: "read-only" in a.cli("status").stdout, 2 * PATIENCE_S, "status warns")
        a.host.ip("link", "del", "wg0")
        since = time.monotonic()
        wait_for_full_mesh([a, b])
        observe(Observed(recovered_s=time.monotonic() - since, shown="warning `state-not-kept` until it is writable"))
        subprocess.run(["mount", "-o", "remount,rw", str(a.host.state_dir)], check=True)
        wait_for(lambda: "state-not-kept" not in a.cli("status").stdout, 2 * PATIENCE_S, "the warning ends")
        a.running_process().stop()


def _mentions(path: Path, key: bytes) -> bool:
    return b64encode(key).decode() in path.read_text()
