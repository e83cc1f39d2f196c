"""The kernel's WireGuard, through generic netlink."""

from __future__ import annotations

import base64
import errno
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from wgmesh.core.errors import NotSupported
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import Endpoint, ObservedPeer, PresharedKey, PublicKey
from wgmesh.runtime.netlink import AsyncWireGuard, NetlinkError
from wgmesh.wireguard.device import KERNEL, PortBusy, TunnelState
from wgmesh.wireguard.io.netlink import translate, translated
from wgmesh.wireguard.plan import SetPeer

_NO_KEY = bytes(32)


class KernelTunnel:
    """One kernel WireGuard interface. See Tunnel for what it raises."""

    name = KERNEL

    def __init__(self, netlink: AsyncWireGuard, interface: str) -> None:
        self._netlink = netlink
        self._interface = interface

    async def read(self) -> TunnelState:
        with translated(f"read the WireGuard device {self._interface}"):
            return merge_dump([chunk async for chunk in await self._netlink.info(self._interface)])

    async def set_private_key(self, private_key: PrivateKey) -> None:
        with translated("set the private key"):
            await self._netlink.set(self._interface, private_key=private_key.reveal_text())

    async def set_listen_port(self, port: int) -> None:
        try:
            await self._netlink.set(self._interface, listen_port=port)
        except NetlinkError as error:
            if error.code == errno.EADDRINUSE:
                raise PortBusy(f"UDP port {port} is taken.") from None
            raise translate(error, f"listen on UDP port {port}") from None

    async def set_peer(self, action: SetPeer) -> None:
        with translated(f"configure peer {action.public_key.short}"):
            await self._netlink.set(self._interface, peer=peer_attributes(action))

    async def remove_peer(self, public_key: PublicKey) -> None:
        with translated(f"remove peer {public_key.short}"):
            await self._netlink.set(self._interface, peer={"public_key": public_key.text, "remove": True})


@asynccontextmanager
async def open_kernel_tunnel(interface: str) -> AsyncIterator[KernelTunnel]:
    """Opens generic netlink for one interface. Raises NotSupported where the kernel has no WireGuard."""
    async with AsyncWireGuard() as netlink:
        try:
            # entering the context does not bind the socket to the WireGuard family
            await netlink.setup_endpoint()
        except NetlinkError as error:
            if error.code == errno.ENOENT:
                raise NotSupported("This kernel has no WireGuard module.") from None
            raise translate(error, "open WireGuard's netlink family") from None
        yield KernelTunnel(netlink, interface)


def peer_attributes(action: SetPeer) -> dict[str, Any]:
    """Returns a peer in the words of pyroute2. A change never brings back a peer that is gone."""
    attributes: dict[str, Any] = {"public_key": action.public_key.text, "update_only": not action.new}
    if action.preshared_key is not None:
        attributes["preshared_key"] = base64.b64encode(action.preshared_key.reveal())
    if action.endpoint is not None:
        attributes |= {"endpoint_addr": str(action.endpoint.host), "endpoint_port": action.endpoint.port}
    if action.persistent_keepalive_s is not None:
        attributes["persistent_keepalive"] = action.persistent_keepalive_s
    if action.allowed_ips is not None:
        attributes |= {"replace_allowed_ips": True, "allowed_ips": sorted(map(str, action.allowed_ips))}
    return attributes


def merge_dump(chunks: list[Any]) -> TunnelState:
    """Puts the messages of one dump together.

    The kernel splits a dump between peers and even inside the allowed IPs of one peer, whose key then stands in two
    messages; only the first message carries the device's own attributes.
    """
    public_key: PublicKey | None = None
    listen_port = 0
    peers: dict[PublicKey, ObservedPeer] = {}
    for chunk in chunks:
        key = chunk.get_attr("WGDEVICE_A_PUBLIC_KEY")
        if key is not None:
            public_key = _public_key(key)
        listen_port = chunk.get_attr("WGDEVICE_A_LISTEN_PORT") or listen_port
        for message in chunk.get_attr("WGDEVICE_A_PEERS") or ():
            peer = _peer(message)
            earlier = peers.get(peer.public_key)
            if earlier is not None:
                peer = replace(earlier, allowed_ips=earlier.allowed_ips | peer.allowed_ips)
            peers[peer.public_key] = peer
    return TunnelState(public_key, listen_port, tuple(peers.values()))


def _peer(message: Any) -> ObservedPeer:
    preshared_key = base64.b64decode(_value(message.get_attr("WGPEER_A_PRESHARED_KEY")) or b"")
    endpoint = message.get_attr("WGPEER_A_ENDPOINT")
    handshake = message.get_attr("WGPEER_A_LAST_HANDSHAKE_TIME")
    at = handshake["tv_sec"] + handshake["tv_nsec"] / 1e9 if handshake else 0.0
    return ObservedPeer(
        public_key=_public_key(message.get_attr("WGPEER_A_PUBLIC_KEY")),
        endpoint=Endpoint.of(endpoint["addr"], endpoint["port"]) if endpoint and endpoint["port"] else None,
        allowed_ips=frozenset(
            ipaddress.ip_network(allowed["addr"]) for allowed in message.get_attr("WGPEER_A_ALLOWEDIPS") or ()
        ),
        persistent_keepalive_s=message.get_attr("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL") or 0,
        handshake_at=at or None,
        rx_bytes=message.get_attr("WGPEER_A_RX_BYTES") or 0,
        tx_bytes=message.get_attr("WGPEER_A_TX_BYTES") or 0,
        preshared_key=PresharedKey(preshared_key) if preshared_key and preshared_key != _NO_KEY else None,
    )


def _public_key(attribute: Any) -> PublicKey:
    return PublicKey(base64.b64decode(_value(attribute)))


def _value(attribute: Any) -> Any:
    """A key attribute is a dict with `value` when decoded from the wire, and the text itself in older releases."""
    return attribute.get("value") if isinstance(attribute, dict) else attribute
