"""The text protocol of userspace WireGuard programs (wireguard.com/xplatform): requests and answers.

Keys are hexadecimal, one `key=value` a line, and a blank line ends a transaction.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from wgmesh.core.errors import DeviceUnavailable
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import Endpoint, IPNetwork, ObservedPeer, PresharedKey, PublicKey
from wgmesh.wireguard.plan import SetPeer

GET_REQUEST = b"get=1\n\n"
ANSWER_END = b"\n\n"


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


def _parse(answer: bytes) -> UapiState:
    private_key: PrivateKey | None = None
    listen_port = 0
    peers: list[ObservedPeer] = []
    values: dict[str, str] = {}
    allowed_ips: list[str] = []
    # A peer's lines end where the next peer begins; this runs every second over some ten thousand lines.
    for line in answer.decode("ascii").splitlines():
        key, _, value = line.partition("=")
        if key == "allowed_ip":
            allowed_ips.append(value)
        elif key == "public_key":
            if "public_key" in values:
                peers.append(_peer(values, allowed_ips))
            values, allowed_ips = {key: value}, []
        elif key == "private_key":
            raw = bytes.fromhex(value)
            private_key = PrivateKey(raw) if any(raw) else None
        elif key == "listen_port":
            listen_port = int(value)
        else:
            values[key] = value
    if "public_key" in values:
        peers.append(_peer(values, allowed_ips))
    return UapiState(private_key, listen_port, tuple(peers))


def _peer(values: dict[str, str], allowed_ips: list[str]) -> ObservedPeer:
    handshake_at = int(values.get("last_handshake_time_sec", 0)) + int(values.get("last_handshake_time_nsec", 0)) / 1e9
    preshared_key = bytes.fromhex(values.get("preshared_key", ""))
    endpoint = values.get("endpoint")
    return ObservedPeer(
        public_key=PublicKey(bytes.fromhex(values["public_key"])),
        endpoint=_endpoint(endpoint) if endpoint else None,
        allowed_ips=frozenset(map(_network, allowed_ips)),
        persistent_keepalive_s=int(values.get("persistent_keepalive_interval", 0)),
        handshake_at=handshake_at or None,
        rx_bytes=int(values.get("rx_bytes", 0)),
        tx_bytes=int(values.get("tx_bytes", 0)),
        preshared_key=PresharedKey(preshared_key) if any(preshared_key) else None,
    )


# Parsing an address takes longer than everything else together, and the same few come back at every look.
@lru_cache(maxsize=8192)
def _network(text: str) -> IPNetwork:
    return ipaddress.ip_network(text)


@lru_cache(maxsize=2048)
def _endpoint(text: str) -> Endpoint:
    return Endpoint.parse(text)
