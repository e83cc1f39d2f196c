"""The files that a node leaves and the ports that it opens, beside those that docs/reference/files.md lists."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from support.lab.meshes import StartMesh
from support.lab.swarm import INTERNET, Swarm
from support.repository import ROOT
from support.waiting import PATIENCE_S
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.waiting import wait_for

PAGE = ROOT / "docs" / "reference" / "files.md"
SOMEBODY = "A" * 42 + "E="  # a key that nobody has
_PORT = re.compile(r"^\| ([^|]+) \| (UDP|TCP)[^|]* \|", re.MULTILINE)
_ROW = re.compile(r"^\| `/var/lib/wgmesh/([\w.-]+)` \| (\w+) \|", re.MULTILINE)


def documented(secret: str) -> dict[str, int]:
    """Name and mode of every state file of a node on `wg0`; those that belong to the operator have no mode."""
    tag = derive(Secret(secret)).network_id[:8].hex()
    return {
        re.sub(r"^IF", "wg0", name).replace("MESH", tag): int(mode, 8)
        for name, mode in _ROW.findall(PAGE.read_text())
        if mode.isdigit()
    }


def left_by(*nodes: MeshNode) -> dict[str, int]:
    """Name and mode of what stopped nodes have left in their state directories."""
    files: list[Path] = [path for node in nodes for path in node.host.state_dir.iterdir()]
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in files}


def test_the_state_files_have_the_names_and_modes_of_the_reference_and_there_are_no_others(fabric: Fabric) -> None:
    swarm = Swarm(fabric)
    fabric.add_router("router", ["lan", INTERNET])
    swarm.start()
    secret = new_secret()
    a, b = (
        MeshNode(host, secret, "--no-stun", *flags)
        for host, flags in [
            (fabric.add_host("a"), ("--dht-bootstrap", swarm.bootstrap)),
            (fabric.add_host("b"), ("--no-dht",)),
        ]
    )
    port = derive(Secret(secret)).dht_port
    c_host, d_host = fabric.add_hosts(["c", "d"])
    c = MeshNode(c_host, secret, "--no-stun", "--private-dht", f"{d_host.ipv4}:{port}")
    d = MeshNode(d_host, secret, "--no-stun", "--private-dht", f"{c_host.ipv4}:{port}")
    nodes = [a, b, c, d]
    for node in nodes:
        node.start()
    wait_for_full_mesh(nodes)
    assert a.cli("peers", "ban", SOMEBODY).returncode == 0
    for node, sign in ((a, "confirmed"), (c, "record stored")):
        wait_for(lambda node=node, sign=sign: sign in node.cli("status").stdout, PATIENCE_S, "the DHT works")  # type: ignore[misc]
    for node in nodes:
        node.running_process().stop()

    assert left_by(a, b, c, d) == documented(secret)


def test_the_ports_of_the_reference_are_open_and_no_others(start_mesh: StartMesh) -> None:
    a, _ = start_mesh("a b")
    status = a.wait_until_ready()
    exchange = status.exchange_port
    only_private = ("a free one", "UDP")
    only_mapped = ("5350", "UDP")  # test_port_mapping.py
    ports = {
        ("51820, or the next free one", "UDP"): status.listen_port,
        ("51821 to 52820, by secret", "UDP"): exchange,
        ("51830", "UDP"): 51830,
        ("exchange port + 1, or a free one", "UDP"): exchange + 1,
        ("exchange port + 2000", "TCP"): exchange + 2000,
    }
    assert set(_PORT.findall(PAGE.read_text())) == {*ports, only_private, only_mapped}
    assert 51821 <= exchange <= 52820

    wait_for(lambda: opened(a) >= {(kind, port) for (_, kind), port in ports.items()}, PATIENCE_S, "all are open")
    assert opened(a) == {(kind, port) for (_, kind), port in ports.items()}


def test_a_private_dht_opens_the_one_further_port_of_the_reference(fabric: Fabric) -> None:
    plain, private = (
        MeshNode(host, new_secret(), "--no-stun", *flags)
        for host, flags in zip(
            fabric.add_hosts(["a", "b"]), (["--no-dht"], ["--private-dht", "192.0.2.1:1"]), strict=True
        )
    )
    for node in (plain, private):
        node.start()
        node.wait_until_ready()
    wait_for(lambda: len(opened(private)) == len(opened(plain)) + 2, PATIENCE_S, "both ports of the DHT are open")

    exchange = private.wait_until_ready().exchange_port
    assert ("UDP", exchange + 1) in opened(private)
    assert {kind for kind, _ in opened(private)} == {"UDP", "TCP"}


def opened(node: MeshNode) -> set[tuple[str, int]]:
    """Protocol and port of every socket that hears from others."""
    lines = node.host.exec("ss", "-Hltun").splitlines()
    return {(line.split()[0].upper(), int(line.split()[4].rpartition(":")[2])) for line in lines}
