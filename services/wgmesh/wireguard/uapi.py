"""The text protocol of userspace WireGuard programs (wireguard.com/xplatform): requests and answers.

Keys are hexadecimal, one `key=value` a line, and a blank line ends a transaction.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from wgmesh.core.errors import DeviceUnavailable
from wgmesh.core.model import Endpoint, IPNetwork, ObservedPeer, PresharedKey, PublicKey
from wgmesh.core.private_key import PrivateKey
from wgmesh.wireguard.plan import SetPeer

GET_REQUEST = b"get=1\n\n"
ANSWER_END = b"\n\n"

_NO_PRESHARED_KEY = bytes(32)


@dataclass(frozen=True, slots=True)
class UapiState:
    """The answer to `get=1`."""

    private_key: PrivateKey | None
    listen_port: int
    peers: tuple[ObservedPeer, ...]


def private_key_request(private_key: PrivateKey) -> bytes:
    return _request(("private_key", private_key.reveal().hex()))


def listen_port_request(port: int) -> bytes:
    return _request(("listen_port", str(port)))


def remove_peer_request(public_key: PublicKey) -> bytes:
    return _request(("public_key", public_key.raw.hex()), ("remove", "true"))


def set_peer_request(action: SetPeer) -> bytes:
    """A change carries `update_only`, so that it never brings back a peer that is gone."""
    return _request(*_peer_lines(action))


def parse_error_number(answer: bytes) -> int:
    """Returns the errno that ends an answer, 0 for success. Raises DeviceUnavailable."""
    last = answer.rstrip(b"\n").rpartition(b"\n")[2]
    key, _, value = last.partition(b"=")
    if key != b"errno":
        raise DeviceUnavailable("The userspace WireGuard program gave an answer without errno.")
    try:
        return abs(int(value))
    except ValueError:
        raise DeviceUnavailable("The userspace WireGuard program gave an errno that is no number.") from None


def parse_state(answer: bytes) -> UapiState:
    """Reads the answer to `get=1`. Unknown keys are skipped, as the protocol asks. Raises DeviceUnavailable."""
    try:
        return _parse(answer)
    except (ValueError, UnicodeDecodeError) as error:
        # The text of the error would quote a value, which may be a key.
        raise DeviceUnavailable(
            f"The userspace WireGuard program described its device in an unknown way ({type(error).__name__})."
        ) from None


def _request(*lines: tuple[str, str]) -> bytes:
    return ("set=1\n" + "".join(f"{key}={value}\n" for key, value in lines) + "\n").encode("ascii")


def _peer_lines(action: SetPeer) -> Iterator[tuple[str, str]]:
    yield "public_key", action.public_key.raw.hex()
    if not action.new:
        yield "update_only", "true"
    if action.preshared_key is not None:
        yield "preshared_key", action.preshared_key.reveal().hex()
    if action.endpoint is not None:
        yield "endpoint", str(action.endpoint)
    if action.persistent_keepalive_s is not None:
        yield "persistent_keepalive_interval", str(action.persistent_keepalive_s)
    if action.allowed_ips is not None:
        yield "replace_allowed_ips", "true"
        for network in sorted(action.allowed_ips, key=str):
            yield "allowed_ip", str(network)


@dataclass(slots=True)
class _PeerParts:
    peer: ObservedPeer
    allowed_ips: set[IPNetwork] = field(default_factory=set)
    handshake_s: int = 0
    handshake_ns: int = 0

    def finish(self) -> ObservedPeer:
        at = self.handshake_s + self.handshake_ns / 1e9
        return replace(self.peer, allowed_ips=frozenset(self.allowed_ips), handshake_at=at or None)


def _parse(answer: bytes) -> UapiState:
    private_key: PrivateKey | None = None
    listen_port = 0
    peers: list[_PeerParts] = []
    for line in answer.decode("ascii").splitlines():
        key, _, value = line.partition("=")
        match key:
            case "private_key":
                raw = bytes.fromhex(value)
                private_key = PrivateKey(raw) if any(raw) else None
            case "listen_port":
                listen_port = int(value)
            case "public_key":
                peers.append(_PeerParts(ObservedPeer(PublicKey(bytes.fromhex(value)))))
            case _ if peers:
                _parse_peer_line(peers[-1], key, value)
    return UapiState(private_key, listen_port, tuple(parts.finish() for parts in peers))


def _parse_peer_line(parts: _PeerParts, key: str, value: str) -> None:
    match key:
        case "preshared_key":
            raw = bytes.fromhex(value)
            if raw != _NO_PRESHARED_KEY:
                parts.peer = replace(parts.peer, preshared_key=PresharedKey(raw))
        case "endpoint":
            parts.peer = replace(parts.peer, endpoint=Endpoint.parse(value))
        case "persistent_keepalive_interval":
            parts.peer = replace(parts.peer, persistent_keepalive_s=int(value))
        case "last_handshake_time_sec":
            parts.handshake_s = int(value)
        case "last_handshake_time_nsec":
            parts.handshake_ns = int(value)
        case "rx_bytes":
            parts.peer = replace(parts.peer, rx_bytes=int(value))
        case "tx_bytes":
            parts.peer = replace(parts.peer, tx_bytes=int(value))
        case "allowed_ip":
            parts.allowed_ips.add(ipaddress.ip_network(value))
