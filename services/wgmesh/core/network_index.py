"""Many networks, asked which of them another one overlaps: a few look-ups each time, however many there are."""

from __future__ import annotations

import ipaddress
from bisect import bisect_left
from collections.abc import Iterable
from typing import Generic, TypeVar

from wgmesh.core.model import IPAddress, IPNetwork

ValueT = TypeVar("ValueT")


class NetworkIndex(Generic[ValueT]):
    """Networks with a value each; of two equal networks the first one counts."""

    def __init__(self, entries: Iterable[tuple[IPNetwork, ValueT]]) -> None:
        self._entries: dict[tuple[int, int, int], tuple[IPNetwork, ValueT]] = {}
        for network, value in entries:
            self._entries.setdefault(network_order(network), (network, value))
        self._sorted = sorted(self._entries)
        self._lengths = sorted({(version, length) for version, _, length in self._sorted})

    def overlapped(self, network: IPNetwork) -> tuple[IPNetwork, ValueT] | None:
        """A network that overlaps `network`: the widest around it, or else the first one inside it."""
        return self.around(network) or self._inside(network)

    def around(self, network: IPNetwork) -> tuple[IPNetwork, ValueT] | None:
        """The widest network that `network` lies in, or that it is."""
        first = int(network.network_address)
        for version, length in self._lengths:
            if version == network.version and length <= network.prefixlen:
                host_bits = network.max_prefixlen - length
                found = self._entries.get((version, first >> host_bits << host_bits, length))
                if found is not None:
                    return found
        return None

    def _inside(self, network: IPNetwork) -> tuple[IPNetwork, ValueT] | None:
        at = bisect_left(self._sorted, network_order(network))
        if at == len(self._sorted):
            return None
        version, first, _ = self._sorted[at]
        is_inside = version == network.version and first <= int(network.broadcast_address)
        return self._entries[self._sorted[at]] if is_inside else None


def is_within(host: IPAddress, networks: Iterable[IPNetwork]) -> bool:
    """Whether an address lies in one of a few networks."""
    return any(host.version == network.version and host in network for network in networks)


def host_network(address: IPAddress) -> IPNetwork:
    """The network of one address."""
    return ipaddress.ip_network((address, address.max_prefixlen))


def is_host(network: IPNetwork) -> bool:
    """Whether a network is one address."""
    return network.prefixlen == network.max_prefixlen


def owner_network(address: IPAddress) -> IPNetwork:
    """The part of the network that one owner has: of IPv6 a whole /64, all of which a single host may use."""
    return host_network(address) if address.version == 4 else ipaddress.ip_network((address, 64), strict=False)


def network_order(network: IPNetwork) -> tuple[int, int, int]:
    """By family, then by the first address, the wider one first."""
    return network.version, int(network.network_address), network.prefixlen
