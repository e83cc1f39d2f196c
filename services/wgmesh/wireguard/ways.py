"""Where packets for the mesh really go: the kernel's own answer, compared with what the device was made for.

A route of ours in the main table is worth nothing where a rule of the host has another table looked up before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wgmesh.core.model import IPAddress, IPNetwork, ObservedDevice
from wgmesh.wireguard.plan import in_order

ASKED_MAX = 64  # networks: each is a question to the kernel


@dataclass(frozen=True, slots=True)
class Way:
    """Which interface a packet leaves by ("" for none), and which table says so (0: unknown)."""

    interface: str
    table: int = 0


def questions(device: ObservedDevice) -> dict[IPNetwork, IPAddress]:
    """An address in each network that packets should enter the tunnel for, at most 64."""
    if not device.up:
        return {}
    networks = (*in_order(device.mesh_routes), *in_order(device.routes))
    hosts = {network.network_address for peer in device.peers for network in peer.allowed_ips}
    own = {address.ip for address in device.addresses}
    return {network: next(_inside(network, hosts, own)) for network in networks[:ASKED_MAX]}


def _inside(network: IPNetwork, hosts: set[IPAddress], own: set[IPAddress]) -> Iterator[IPAddress]:
    """Addresses in a network, those of peers first. The last is the network's own, which a network of one has alone."""
    yield from (host for host in hosts if host in network and host != network.network_address)
    yield from (
        each for each in (network[index] for index in (1, 2) if index < network.num_addresses) if each not in own
    )
    yield network.network_address


def astray(device: ObservedDevice, ways: Mapping[IPAddress, Way]) -> tuple[str, ...]:
    """A sentence for each network whose packets do not enter the tunnel. A way that was not asked for says nothing."""
    found = []
    for network, address in questions(device).items():
        way = ways.get(address)
        if way is not None and way.interface != device.name:
            where = f"go through {way.interface}" if way.interface else "go nowhere"
            table = f" by table {way.table}" if way.table else ""
            found.append(
                f"Packets for {network} do not enter the tunnel: those to {address} {where}{table}, since a rule of "
                "this host (`ip rule`) comes before its main table."
            )
    return tuple(found)
