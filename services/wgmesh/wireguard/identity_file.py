"""The content of `<iface>.json`: who this node is. Upstream's file, so its identity is taken over as it stands."""

from __future__ import annotations

import base64
import ipaddress
import json
from dataclasses import dataclass

from wgmesh.core.errors import CorruptState, MalformedMessage
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import PublicKey
from wgmesh.core.wire.jsonstrict import Members, parse_json
from wgmesh.core.wire.wirefield import parse_mesh_ipv4, parse_mesh_ipv6, parse_public_key

MAX_FILE_BYTES = 65_536  # hundreds of times what the file needs


@dataclass(frozen=True, slots=True)
class StoredIdentity:
    """A node's key pair and what it keeps between runs. `listen_port` is our addition; upstream ignores it."""

    private_key: PrivateKey
    mesh_ipv4: ipaddress.IPv4Address | None = None
    mesh_ipv6: ipaddress.IPv6Address | None = None
    listen_port: int | None = None

    @property
    def public_key(self) -> PublicKey:
        return self.private_key.public_key


def encode_identity(identity: StoredIdentity) -> bytes:
    """Returns the file's bytes. They hold the private key: mode 0600."""
    members: dict[str, object] = {
        "wg_pubkey": identity.public_key.text,
        "wg_private_key": identity.private_key.reveal_text(),
    }
    if identity.mesh_ipv4 is not None:
        members["mesh_ip"] = str(identity.mesh_ipv4)
    if identity.mesh_ipv6 is not None:
        members["mesh_ipv6"] = str(identity.mesh_ipv6)
    if identity.listen_port is not None:
        members["listen_port"] = identity.listen_port
    return json.dumps(members, indent=2).encode("ascii")


def decode_identity(data: bytes, path: str) -> StoredIdentity:
    """Reads the file's bytes; `path` only names it in errors. Raises CorruptState, never a new identity."""
    try:
        return _decode(Members(parse_json(data, MAX_FILE_BYTES)))
    except MalformedMessage as error:
        raise CorruptState(
            f"{path} does not hold a usable identity ({error}). Restore it from a backup,"
            " or move it away to start with a new identity, which the other nodes see as a new peer."
        ) from None


def _decode(members: Members) -> StoredIdentity:
    private_key = _parse_private_key(members.text("wg_private_key"))
    if parse_public_key("wg_pubkey", members.text("wg_pubkey")) != private_key.public_key:
        raise MalformedMessage("wg_pubkey: not the public half of wg_private_key")
    mesh_ip = members.text("mesh_ip")
    listen_port = members.integer("listen_port") if "listen_port" in members else None
    if listen_port is not None and not 1 <= listen_port <= 65535:
        raise MalformedMessage("listen_port: not in 1..65535")
    return StoredIdentity(
        private_key=private_key,
        mesh_ipv4=parse_mesh_ipv4("mesh_ip", mesh_ip) if mesh_ip else None,
        mesh_ipv6=parse_mesh_ipv6("mesh_ipv6", members.text("mesh_ipv6")),
        listen_port=listen_port,
    )


def _parse_private_key(text: str) -> PrivateKey:
    try:
        return PrivateKey(base64.b64decode(text, validate=True))
    except ValueError:
        raise MalformedMessage("wg_private_key: not a WireGuard key") from None
