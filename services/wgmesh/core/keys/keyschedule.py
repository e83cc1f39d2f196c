"""Everything that the members of a mesh derive from their secret (protocol notes, section 2).

All values are fixed for the life of the secret; none is per peer or per epoch, except the hourly network id.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from dataclasses import dataclass, field

from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import PresharedKey

# specification
NETWORK_ID_BYTES = 20  # as long as a BitTorrent infohash
GOSSIP_PORT_BASE = 51821
GOSSIP_PORT_RANGE = 1000
PROBE_PORT_OFFSET = 2000
LAN_PORT = 51830
# RFC 4291, 2.7: a transient group of link-local scope. RFC 3307, 4.3: the group ids that nobody assigns begin with a 1.
LAN_GROUP6_BASE = int(ipaddress.IPv6Address("ff12::8000:0"))
HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class MeshLayout:
    """The networks and ports of a mesh: what follows from the secret and opens nothing.

    Routing tables and sockets show all of it. Processes that do not have the secret are told this instead.
    """

    gossip_port: int
    default_ipv4_network: ipaddress.IPv4Network
    ipv6_network: ipaddress.IPv6Network

    @property
    def probe_port(self) -> int:
        """The TCP port of the liveness probe, inside the tunnel only."""
        return self.gossip_port + PROBE_PORT_OFFSET


@dataclass(frozen=True, slots=True)
class MeshKeys:
    """The derived values of one mesh. Its repr shows nothing secret."""

    network_id: bytes = field(repr=False)
    """20 bytes. Names files and the mesh; a stranger could test a guessed secret with it."""
    gossip_key: bytes = field(repr=False)
    """32 bytes: the AES-256-GCM key of every envelope."""
    mesh_subnet: bytes = field(repr=False)
    """2 bytes: the second octet of mesh IPv4 addresses, and a mask for the third."""
    mesh_prefix_v6: bytes = field(repr=False)
    """8 bytes: the mesh /64."""
    multicast_id: bytes = field(repr=False)
    """4 bytes, of which two choose the LAN group."""
    multicast6_id: bytes = field(repr=False)
    """4 bytes that choose the LAN group of IPv6. Not upstream's."""
    psk: PresharedKey = field(repr=False)
    """WireGuard's preshared key, the same for every pair."""
    gossip_port: int
    """The UDP port of the exchange socket, 51821..52820."""
    rendezvous_id: bytes = field(repr=False)
    """8 bytes: the title of the registry entry."""
    membership_key: bytes = field(repr=False)
    """32 bytes: keys membership tokens and rotation announcements."""
    epoch_seed: bytes = field(repr=False)
    """32 bytes: seeds the relay choice of an epoch."""
    private_dht_key: bytes = field(repr=False)
    """32 bytes: seals the datagrams of the private DHT. Not upstream's."""

    @property
    def multicast_group(self) -> ipaddress.IPv4Address:
        return ipaddress.IPv4Address(bytes((239, 192, self.multicast_id[0], self.multicast_id[1])))

    @property
    def multicast_group6(self) -> ipaddress.IPv6Address:
        return ipaddress.IPv6Address(LAN_GROUP6_BASE | int.from_bytes(self.multicast6_id, "big"))

    @property
    def layout(self) -> MeshLayout:
        return MeshLayout(self.gossip_port, self.default_ipv4_network, self.ipv6_network)

    @property
    def lan_port(self) -> int:
        return LAN_PORT

    @property
    def dht_port(self) -> int:
        return self.gossip_port + 1

    @property
    def probe_port(self) -> int:
        """The TCP port of the liveness probe, inside the tunnel only."""
        return self.gossip_port + PROBE_PORT_OFFSET

    @property
    def default_ipv4_network(self) -> ipaddress.IPv4Network:
        """The /16 of mesh addresses where no `--mesh-subnet` is given."""
        return ipaddress.IPv4Network((bytes((10, self.mesh_subnet[0], 0, 0)), 16))

    @property
    def ipv6_network(self) -> ipaddress.IPv6Network:
        return ipaddress.IPv6Network((self.mesh_prefix_v6 + bytes(8), 64))


def derive(secret: Secret) -> MeshKeys:
    """Returns all keys of the mesh. Every value is an HKDF run of its own, or a hash where the protocol says so."""
    key_material = secret.reveal_bytes()
    pseudo_random_key = hmac.digest(bytes(32), key_material, "sha256")  # RFC 5869, 2.2, with no salt

    def expand(info: str, length: int) -> bytes:
        return hmac.digest(pseudo_random_key, info.encode() + b"\x01", "sha256")[:length]  # RFC 5869, 2.3, one block

    port_offset = int.from_bytes(expand("wgmesh-gossip-port-v1", 2), "big") % GOSSIP_PORT_RANGE
    return MeshKeys(
        network_id=hashlib.sha256(key_material).digest()[:NETWORK_ID_BYTES],
        gossip_key=expand("wgmesh-gossip-v1", 32),
        mesh_subnet=expand("wgmesh-subnet-v1", 2),
        mesh_prefix_v6=b"\xfd" + expand("wgmesh-ipv6-prefix-v1", 7),
        multicast_id=expand("wgmesh-mcast-v1", 4),
        multicast6_id=expand("wgmesh-mcast-ipv6-v1", 4),
        psk=PresharedKey(expand("wgmesh-wg-psk-v1", 32)),
        gossip_port=GOSSIP_PORT_BASE + port_offset,
        rendezvous_id=hashlib.sha256(key_material + b"rv").digest()[:8],
        membership_key=expand("wgmesh-membership-v1", 32),
        epoch_seed=expand("wgmesh-epoch-v1", 32),
        private_dht_key=expand("wgmesh-private-dht-v1", 32),
    )


def network_id_at(secret: Secret, unix_time: float) -> bytes:
    """Returns the hourly network id (20 bytes), under which members announce themselves to strangers."""
    text = b"||" + str(hour_of(unix_time)).encode()
    return hashlib.sha256(secret.reveal_bytes() + text).digest()[:NETWORK_ID_BYTES]


def hour_of(unix_time: float) -> int:
    """Returns the hour number since 1970, truncated towards zero as upstream's integer division does."""
    return int(unix_time / HOUR_S)
