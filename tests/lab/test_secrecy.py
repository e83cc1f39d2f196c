"""What nodes put on the wire, every byte of it, searched for the secret and for what their users say."""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from pathlib import Path

import pytest
from support.lab.outsider import ETH_P_ALL, drained, parsed
from support.waiting import PATIENCE_S
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.wire.envelope import open_envelope
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import SERVICES, MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.pinger import socket_in
from wgmesh.demo.waiting import wait_for

HANDSHAKE_INITIATION = b"\x01\0\0\0"  # the first bytes of WireGuard's messages (paper, section 5.4)
TRANSPORT_DATA = b"\x04\0\0\0"
WIREGUARD = tuple(bytes((kind, 0, 0, 0)) for kind in (1, 2, 3, 4))
UDP_PAYLOAD = 42  # Ethernet, IPv4 without options, UDP
SAID = b"read by two only"  # as long as a pattern of ping(8) may be
PINGS = 5


def test_no_frame_of_a_joining_pair_holds_the_secret_in_any_form(fabric: Fabric) -> None:
    secret = new_secret()
    a, b = (MeshNode(host, secret) for host in fabric.add_hosts(["a", "b"]))
    plug = a.host.attachments[0]
    with socket_in(plug.switch, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        tap.setblocking(False)
        for node in (a, b):
            node.start()
        wait_for_full_mesh([a, b])
        frames = list(drained(tap))
        b.running_process().stop()
        wait_for(lambda: not a.peers(), PATIENCE_S, "the goodbye is said")
        frames += drained(tap)
    payloads = [frame[UDP_PAYLOAD:] for frame in frames]
    for kind in (b'"HELLO"', b'"REPLY"', b'"ANNOUNCE"', b'"GOODBYE"'):
        assert any(payload.startswith(b"{") and kind in payload for payload in payloads), kind
    for start in (HANDSHAKE_INITIATION, TRANSPORT_DATA):
        assert any(payload.startswith(start) for payload in payloads), start
    everything = b"\n".join(frames).lower()
    assert {name for name, form in forms(secret).items() if form.lower() in everything} == set()


def test_what_two_nodes_carry_is_read_by_nobody_between_them_not_even_by_a_member(fabric: Fabric) -> None:
    """The router between the two is a node of their mesh: it knows the secret, and every key that follows from it."""
    fabric.add_lan("office")
    router = fabric.add_router("router", ["lan", "office"])
    secret = new_secret()
    a, b, between = (  # over IPv4 alone, which is what is looked into
        MeshNode(host, secret, "--no-stun", "--no-dht", "--no-ipv6")
        for host in (fabric.add_host("a"), fabric.add_host("b", "office"), router)
    )
    # not bound to an interface: it records all of them, that of the mesh too
    with socket_in(router.namespace, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap:
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        tap.setblocking(False)
        for node in (between, a, b):
            node.start()
        address = wait_for_full_mesh([a, b, between])["b"]
        say(a, str(b.host.ipv4))
        in_clear = list(drained(tap))
        say(a, address)
        in_tunnel = list(drained(tap))

    assert sum(SAID in frame for frame in in_clear) >= 2 * PINGS, "outside the tunnel it is read, in and out"
    assert not [frame for frame in in_tunnel if SAID in frame]
    ends = {str(node.host.ipv4) for node in (a, b)}
    passed = [seen for frame in in_tunnel if (seen := parsed(frame)) and {seen.source, seen.destination} == ends]
    assert sum(seen.payload.startswith(TRANSPORT_DATA) for seen in passed) >= 2 * PINGS, "it came this way"
    gossip_key = derive(Secret(secret)).gossip_key
    for seen in passed:
        if not seen.payload.startswith(WIREGUARD):
            open_envelope(seen.payload, gossip_key, time.time())  # all that the mesh's own keys open is its messages
    key = base64.b64encode(b.wait_until_ready().public_key).decode()
    assert f"{key}\t{b.host.ipv4}:" in a.host.exec("wg", "show", "wg0", "endpoints"), "the tunnel ends at the peer"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_argument_of_a_process_and_no_log_at_any_level_holds_the_secret(fabric: Fabric, log_format: str) -> None:
    secret = new_secret()
    flags = ("--log-level", "debug", "--log-format", log_format, "--metrics", "127.0.0.1:9090")
    a, b = (MeshNode(host, secret, *flags) for host in fabric.add_hosts(["a", "b"]))
    for node in (a, b):
        node.start()
    wait_for_full_mesh([a, b])
    arguments = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in a.host.pids()}
    assert len(arguments) >= 1 + len(SERVICES), "the services, and userspace WireGuard where it is used"
    a.host.state_dir.joinpath("wg0.reload").write_text("log-level=debug\n")
    for words in (("reload",), ("status",), ("peers", "list"), ("test-peer", "--peer", str(b.host.ipv4))):
        a.cli(*words)
    a.running_process().stop()

    logged = a.running_process().output()
    assert " debug " in logged or '"level":"debug"' in logged
    for name, form in forms(secret).items():
        assert form not in b"\n".join(arguments.values()), name
        assert form.decode(errors="surrogateescape") not in logged, name


def say(node: MeshNode, address: str) -> None:
    """Sends something that is easy to recognise, and gets it back."""
    node.host.exec("ping", "-c", str(PINGS), "-i", "0.05", "-W", "2", "-p", SAID.hex(), address)


def forms(secret: str) -> dict[str, bytes]:
    """The secret, its hashes and its keys, each raw and in the spellings that programs use."""
    keys = derive(Secret(secret))
    plain = {
        "secret": secret.encode(),
        "secret's bytes": base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4)),
        "SHA-256": hashlib.sha256(secret.encode()).digest(),
        "SHA-1": hashlib.sha1(secret.encode()).digest(),
        "network id": keys.network_id,
        "gossip key": keys.gossip_key,
        "membership key": keys.membership_key,
        "preshared key": keys.psk.reveal(),
    }
    spelled = {}
    for name, raw in plain.items():
        spelled[name] = raw
        spelled[f"{name}, hexadecimal"] = raw.hex().encode()
        spelled[f"{name}, base64"] = base64.b64encode(raw).rstrip(b"=")
        spelled[f"{name}, base64 for URLs"] = base64.urlsafe_b64encode(raw).rstrip(b"=")
    return spelled
