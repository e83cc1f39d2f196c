"""Mesh addresses: every member computes them from its WireGuard key and the secret (protocol notes, section 3).

Nobody hands addresses out, so two members can get the same one. Then the loser moves to the next nonce variant.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Container

from wgmesh.core.errors import InvalidSetting
from wgmesh.core.keys.keyschedule import MeshKeys, MeshLayout
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import PublicKey

# specification
NONCES_MAX = 10  # variants that upstream tries before it gives up
MAX_SUBNET_PREFIX = 30  # at least two host addresses
_CIDR = re.compile(r"[0-9.]+/([0-9]{1,2})")


def derive_ipv4(
    public_key: PublicKey,
    secret: Secret,
    keys: MeshKeys,
    subnet: ipaddress.IPv4Network | None = None,
    nonce: int = 0,
) -> ipaddress.IPv4Address:
    """Returns the mesh IPv4 address of a member: nonce 0 is its ordinary one, others are its ways out of a clash.

    `subnet` is the custom mesh subnet, None for the /16 that follows from the secret.
    """
    if nonce:
        return derive_ipv4_variant(public_key, secret, keys, subnet, nonce)
    digest = hashlib.sha256(public_key.text.encode() + secret.reveal_bytes()).digest()
    if subnet is not None:
        return _host_in(subnet, digest)
    last = min(max(digest[1], 1), 254)
    return ipaddress.IPv4Address(bytes((10, keys.mesh_subnet[0], digest[0] ^ keys.mesh_subnet[1], last)))


def derive_ipv4_variant(
    public_key: PublicKey, secret: Secret, keys: MeshKeys, subnet: ipaddress.IPv4Network | None, nonce: int
) -> ipaddress.IPv4Address:
    """Returns the variant address for a nonce (protocol notes, 3.4). Its last octet may be 0 or 255 in the /16."""
    key, material = public_key.text.encode(), secret.reveal_bytes()
    digest = hashlib.sha256(b"%d:%s|%d:%s|nonce=%d" % (len(key), key, len(material), material, nonce)).digest()
    if subnet is not None:
        return _host_in(subnet, digest)
    host = min(max(int.from_bytes(digest[:2], "big"), 1), 0xFFFE)
    return keys.default_ipv4_network.network_address + host


def derive_ipv6(public_key: PublicKey, secret: Secret, keys: MeshKeys) -> ipaddress.IPv6Address:
    """Returns the mesh IPv6 address of a member. It has 62 free bits, so nobody looks for clashes."""
    text = public_key.text.encode() + b"|" + secret.reveal_bytes() + b"|ipv6"
    interface_id = bytearray(hashlib.sha256(text).digest()[:8])
    interface_id[0] = (interface_id[0] | 0x02) & 0xFE
    return ipaddress.IPv6Address(keys.mesh_prefix_v6 + bytes(interface_id))


def claimed_nonce(
    address: ipaddress.IPv4Address,
    public_key: PublicKey,
    secret: Secret,
    keys: MeshKeys,
    subnet: ipaddress.IPv4Network | None = None,
) -> int | None:
    """Returns the nonce (0..10) by which the address follows from the key, or None when it does not.

    None is no proof of fraud: members keep a stored address when the secret or the derivation changes.
    """
    nonces = range(NONCES_MAX + 1)
    return next((n for n in nonces if derive_ipv4(public_key, secret, keys, subnet, n) == address), None)


def free_ipv4(
    public_key: PublicKey,
    secret: Secret,
    keys: MeshKeys,
    subnet: ipaddress.IPv4Network | None,
    taken: Container[ipaddress.IPv4Address],
) -> ipaddress.IPv4Address:
    """Returns the first derivation that nobody has taken; the last one where all are taken."""
    for nonce in range(NONCES_MAX + 1):
        address = derive_ipv4(public_key, secret, keys, subnet, nonce)
        if address not in taken:
            break
    return address


def mesh_ipv4_network(keys: MeshKeys | MeshLayout, subnet: ipaddress.IPv4Network | None) -> ipaddress.IPv4Network:
    """Returns the network of all mesh IPv4 addresses."""
    return keys.default_ipv4_network if subnet is None else subnet


def parse_mesh_subnet(text: str) -> ipaddress.IPv4Network | None:
    """Parses the mesh subnet option; empty means the default. Host bits are masked off. Raises InvalidSetting."""
    if not text:
        return None
    problem = f"{text!r} is not an IPv4 network such as 10.50.0.0/16"
    match = _CIDR.fullmatch(text)
    if match is None:
        raise InvalidSetting("mesh subnet", problem)
    try:
        subnet = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise InvalidSetting("mesh subnet", problem) from None
    if subnet.prefixlen > MAX_SUBNET_PREFIX:
        raise InvalidSetting("mesh subnet", f"/{subnet.prefixlen} has no room for two hosts; use /30 or larger")
    return subnet


def _host_in(subnet: ipaddress.IPv4Network, digest: bytes) -> ipaddress.IPv4Address:
    hosts = subnet.num_addresses - 2
    if hosts < 2:
        raise ValueError(f"{subnet} has no room for two hosts")
    return subnet.network_address + (int.from_bytes(digest[:8], "big") % hosts + 1)
