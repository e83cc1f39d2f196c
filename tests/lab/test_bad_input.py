"""Wrong input to `wgmesh join`: a sentence that says what to do, the right exit code, and nothing lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from support.lab.meshes import CONNECTED, StartMesh, the_peer
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, program, wait_for_full_mesh
from wgmesh.demo.pinger import socket_in
from wgmesh.demo.prerequisites import kernel_has_wireguard
from wgmesh.demo.waiting import wait_for

FAILED, USAGE, PERMISSION = 1, 2, 5


@pytest.fixture
def node(fabric: Fabric) -> MeshNode:
    return MeshNode(fabric.add_host("a"), new_secret())


def refused(node: MeshNode, *flags: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a start that must be refused, and looks at the manner of the refusal."""
    result = node.host.attempt(*node.join_argv(*flags), environment=environment)
    assert "Traceback" not in result.stderr + result.stdout
    assert result.stderr.splitlines()[-1].startswith("wgmesh: "), result.stderr
    assert result.stderr.count("wgmesh: ") == 1, result.stderr
    assert node.host.ip("-brief", "link").count("\n") == 2  # lo and eth0
    assert node.host.pids() == []
    return result


def test_a_corrupt_identity_is_refused_and_kept(node: MeshNode) -> None:
    node.state_file.write_text('{"wg_pubkey": "broken')
    result = refused(node)
    assert result.returncode == FAILED
    assert str(node.state_file) in result.stderr
    assert node.state_file.read_text() == '{"wg_pubkey": "broken'


def test_an_identity_without_keys_is_refused_and_kept(node: MeshNode) -> None:
    node.state_file.write_text("{}")
    assert refused(node).returncode == FAILED
    assert node.state_file.read_text() == "{}"


def test_an_upstream_identity_is_taken_over(node: MeshNode) -> None:
    private = node.host.exec("wg", "genkey").strip()
    public = node.host.exec("wg", "pubkey", stdin=private).strip()
    node.state_file.write_text(json.dumps({"wg_pubkey": public, "wg_private_key": private, "mesh_ip": ""}))
    node.state_file.chmod(0o600)
    node.start()
    node.wait_until_ready()
    assert node.host.exec("wg", "show", "wg0", "public-key").strip() == public


def test_a_fifo_as_identity_is_refused_and_does_not_hold_up_the_start(node: MeshNode) -> None:
    os.mkfifo(node.state_file)
    result = refused(node)
    assert result.returncode == FAILED
    assert f"{node.state_file} cannot be read: it is a FIFO" in result.stderr


def test_fifos_and_disk_images_as_caches_and_reload_file_neither_block_nor_fill_a_node(fabric: Fabric) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret) for host in fabric.add_hosts(["a", "b"]))
    cache, reload_file = (a.host.state_dir / name for name in ("wg0-peers.json", "wg0.reload"))
    cache.touch()
    os.truncate(cache, 600_000_000)
    os.mkfifo(b.host.state_dir / cache.name)
    os.mkfifo(reload_file)

    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b])

    result = a.cli("reload")
    assert result.returncode == USAGE
    assert "it is a FIFO and not a regular file; nothing was changed" in result.stderr
    for node in (a, b):
        assert "file not read" in node.running_process().output()
        assert node.cli("status").returncode == 0


def test_an_unwritable_state_directory_is_refused(node: MeshNode) -> None:
    blocked = node.host.directory / "blocked"
    blocked.write_text("a file")
    result = refused(node, "--state-dir", str(blocked / "state"))
    assert result.returncode in (FAILED, USAGE)
    assert "--state-dir" in result.stderr
    assert blocked.read_text() == "a file"


def test_a_read_only_state_directory_is_refused(node: MeshNode) -> None:
    command = 'mount -t tmpfs -o ro tmpfs "$0" && exec "$@"'
    result = node.host.attempt("sh", "-c", command, str(node.host.state_dir), *node.join_argv())
    assert result.returncode in (FAILED, PERMISSION)
    assert str(node.host.state_dir) in result.stderr
    assert "Traceback" not in result.stderr


def test_a_socket_path_that_is_a_file_is_refused_and_kept(node: MeshNode) -> None:
    place = node.host.directory / "precious"
    place.write_text("data")
    result = refused(node, "--socket-path", str(place))
    assert result.returncode in (FAILED, USAGE)
    assert str(place) in result.stderr
    assert place.read_text() == "data"


def test_without_root_the_start_is_refused_with_the_reason(node: MeshNode) -> None:
    place = node.host.directory / "own"
    place.mkdir()
    os.chown(place, 65534, 65534)
    secret = place / "secret"
    secret.write_text(new_secret())
    os.chown(secret, 65534, 65534)
    drop = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    flags = ("--secret-file", str(secret), "--state-dir", f"{place}/state", "--runtime-dir", f"{place}/run")
    result = node.host.attempt(*drop, program(), "join", *flags)
    assert result.returncode == PERMISSION, result.stderr
    assert "root" in result.stderr


@pytest.mark.skipif(kernel_has_wireguard(), reason="this kernel has WireGuard, so it cannot be missing")
def test_without_any_wireguard_the_start_is_refused_with_the_way_out(node: MeshNode) -> None:
    environment = os.environ | {"WG_QUICK_USERSPACE_IMPLEMENTATION": "/nonexistent/wireguard"}
    result = refused(node, environment=environment)
    assert result.returncode == FAILED
    assert "WireGuard" in result.stderr


def test_a_busy_wireguard_port_gives_way_to_the_next_and_is_remembered(fabric: Fabric) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret) for host in fabric.add_hosts(["a", "b"]))
    with socket_in(a.host.namespace, socket.AF_INET, socket.SOCK_DGRAM) as blocker:
        blocker.bind(("0.0.0.0", 51820))
        for node in (a, b):
            node.start()
        wait_for_full_mesh([a, b])
    port = a.wait_until_ready().listen_port
    assert 51820 < port <= 51920
    a.running_process().stop()
    a.start()
    assert a.wait_until_ready().listen_port == port


def test_an_advertised_route_over_the_lan_is_refused_with_the_reason(start_mesh: StartMesh) -> None:
    _, b = start_mesh("a b", "--advertise-routes", "192.168.77.0/24")

    def judged() -> bool:
        status = b.status()
        refused = status.refused_routes if status is not None else ()
        return any(route.network == "192.168.77.0/24" and "not proven" not in route.reason for route in refused)

    wait_for(judged, PATIENCE_S, "the route over the LAN is refused")
    reasons = [route.reason for route in b.wait_until_ready().refused_routes if route.network == "192.168.77.0/24"]
    assert "eth0" in reasons[0] or "connected" in reasons[0]
    assert "dev eth0" in b.host.ip("route", "show", "192.168.77.0/24")


def test_a_good_advertised_route_is_installed_and_a_default_route_never(fabric: Fabric) -> None:
    secret = new_secret()
    hosts = fabric.add_hosts(["a", "b"])
    a = MeshNode(hosts[0], secret, "--advertise-routes", "172.20.5.0/24")
    b = MeshNode(hosts[1], secret)
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b])
    wait_for(lambda: "dev wg0" in b.host.ip("route", "show", "172.20.5.0/24"), PATIENCE_S, "the route is installed")
    b.running_process().stop()
    assert b.host.ip("route", "show", "172.20.5.0/24") == ""
    result = refused(MeshNode(fabric.add_host("c"), secret), "--advertise-routes", "0.0.0.0/0")
    assert result.returncode in (FAILED, USAGE)


@pytest.mark.parametrize(
    "flags",
    [
        ("--interface", "0bad name"),
        ("--listen-port", "70000"),
        ("--mesh-subnet", "fd00::/64"),
        ("--mesh-subnet", "10.0.0.0/31"),
        ("--advertise-routes", "192.168.0.0/33"),
        ("--log-level", "loud"),
    ],
    ids=" ".join,
)
def test_a_wrong_value_is_refused_by_name(node: MeshNode, flags: tuple[str, str]) -> None:
    result = refused(node, *flags)
    assert result.returncode == USAGE
    assert flags[0] in result.stderr


@pytest.mark.parametrize("secret", ["", "short", "wgmesh://v1/short"])
def test_a_bad_secret_is_refused_and_not_repeated(node: MeshNode, secret: str) -> None:
    node.secret_file.write_text(secret)
    result = refused(node)
    assert result.returncode in (FAILED, USAGE)
    assert not secret or secret not in result.stderr


def test_an_unknown_uri_version_is_used_as_every_node_uses_it_and_said(node: MeshNode) -> None:
    node.secret_file.write_text("wgmesh://v9/" + new_secret())
    node.start()
    node.wait_until_ready()
    assert "not of version v1" in node.running_process().output()


def test_a_corrupt_peer_cache_is_put_aside_and_the_mesh_still_forms(fabric: Fabric) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret) for host in fabric.add_hosts(["a", "b"]))
    cache = Path(a.host.state_dir / "wg0-peers.json")
    cache.write_text('{"peers": [{"wg_pubkey": 7}, nonsense')
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b])
    assert the_peer(a).state == CONNECTED
