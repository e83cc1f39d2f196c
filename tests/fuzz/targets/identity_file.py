"""wireguard/identity_file.py: the file with the private key. No error may show it."""

from __future__ import annotations

import json
from collections.abc import Iterable

from fuzz.rules import accepted, check_hidden
from wgmesh.core.errors import CorruptState
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.wireguard.identity_file import StoredIdentity, decode_identity, encode_identity

PATH = "/var/lib/wgmesh/wg0.json"
WORDS = (b'"wg_pubkey":', b'"wg_private_key":', b'"mesh_ip":', b'"mesh_ipv6":', b'"listen_port":')


def seeds() -> Iterable[bytes]:
    identity = StoredIdentity(PrivateKey(bytes(range(32))))
    yield encode_identity(identity)
    yield encode_identity(StoredIdentity(PrivateKey(bytes(32)), listen_port=51820))
    yield encode_identity(identity).replace(b"}", b', "mesh_ip": "10.1.2.3", "mesh_ipv6": "fd00::1"}')
    yield encode_identity(identity).replace(b'"wg_pubkey": "', b'"wg_pubkey": "A')


def check(data: bytes) -> None:
    identity = accepted(lambda: decode_identity(data, PATH), CorruptState, hidden=_strings(data))
    if identity is None:
        return
    check_hidden(repr(identity), (identity.private_key.reveal_text(), identity.private_key.reveal().hex()))
    assert decode_identity(encode_identity(identity), PATH) == identity


def _strings(data: bytes) -> tuple[str, ...]:
    """What may be a private key: every text that stands as a value in the file."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return ()
    items = value.values() if isinstance(value, dict) else ()
    return tuple(item for item in items if isinstance(item, str) and len(item) >= 32)
