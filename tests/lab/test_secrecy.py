"""What a pair of joining nodes puts on the wire, every byte of it, searched for the secret."""

from __future__ import annotations

import base64
import hashlib
import socket

from support.outsider import ETH_P_ALL, drained
from wgmesh.core.keyschedule import derive
from wgmesh.core.secret import Secret
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.nodes import MeshNode, new_secret, wait_for_full_mesh
from wgmesh.demo.pinger import socket_in
from wgmesh.demo.waiting import wait_for

HANDSHAKE_INITIATION = b"\x01\0\0\0"  # the first bytes of WireGuard's messages (paper, section 5.4)
TRANSPORT_DATA = b"\x04\0\0\0"
UDP_PAYLOAD = 42  # Ethernet, IPv4 without options, UDP


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
        wait_for(lambda: not a.peers(), 4.0, "the goodbye is said")
        frames += drained(tap)
    payloads = [frame[UDP_PAYLOAD:] for frame in frames]
    for kind in (b'"HELLO"', b'"REPLY"', b'"ANNOUNCE"', b'"GOODBYE"'):
        assert any(payload.startswith(b"{") and kind in payload for payload in payloads), kind
    for start in (HANDSHAKE_INITIATION, TRANSPORT_DATA):
        assert any(payload.startswith(start) for payload in payloads), start
    everything = b"\n".join(frames).lower()
    assert {name for name, form in forms(secret).items() if form.lower() in everything} == set()


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
