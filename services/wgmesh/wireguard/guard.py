"""The firewall rules of a node: an address of the mesh is spoken to and heard through the tunnel, and nowhere else.

The kind of harm: Linux takes a packet for any of its addresses from any interface, and with `rp_filter` off or loose
from any sender. So a neighbour on the LAN could reach what listens on a mesh address, and speak in a member's name; and
while the device was down, packets for members went out in clear by the default route.

What the mesh has stepped aside for (`overlaps.py`) is spared: there the host's own traffic has the right of way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from wgmesh.core.model import Guard, IPNetwork
from wgmesh.core.network_index import host_network

LOOPBACK = "lo"  # what this host sends to itself


class Chain(StrEnum):
    """Where a rule stands: one chain for each hook of the kernel."""

    ARRIVING = "arriving"
    PASSING = "passing"
    LEAVING = "leaving"


class Side(Enum):
    """Which of the two addresses of a packet."""

    SOURCE = "from"
    DESTINATION = "to"


@dataclass(frozen=True, slots=True)
class Came:
    """The packet came in through this interface."""

    interface: str


@dataclass(frozen=True, slots=True)
class Goes:
    """The packet goes out through this interface."""

    interface: str


@dataclass(frozen=True, slots=True)
class Address:
    """One of the packet's addresses lies in a network."""

    side: Side
    network: IPNetwork


Match = Came | Goes | Address


@dataclass(frozen=True, slots=True)
class Rule:
    """Where all of `matches` hold, the packet is dropped, or has passed this chain. `text` is for people."""

    chain: Chain
    text: str
    matches: tuple[Match, ...]
    drops: bool = True

    @property
    def name(self) -> str:
        """Unlike any other rule's of a guard: so that what is there can be compared with what should be."""
        return f"{self.chain}: {self.text}"


def rules(guard: Guard, interface: str) -> tuple[Rule, ...]:
    """All rules, each chain's in order; none where there is nothing to guard."""
    if not guard.networks:
        return ()
    return (*_arriving(guard, interface), *_passing(guard, interface), *_leaving(guard, interface))


def names(guard: Guard) -> tuple[str, ...]:
    """The names of the rules, by which a guard is known."""
    return tuple(rule.name for rule in rules(guard, ""))


def _arriving(guard: Guard, interface: str) -> tuple[Rule, ...]:
    return (
        Rule(Chain.ARRIVING, "through the tunnel", (Came(interface),), drops=False),
        Rule(Chain.ARRIVING, "from this host itself", (Came(LOOPBACK),), drops=False),
        *(_by_address(Chain.ARRIVING, Side.DESTINATION, host_network(each)) for each in guard.addresses),
        *(_by_address(Chain.ARRIVING, Side.SOURCE, each, drops=False) for each in guard.spared),
        *(_by_address(Chain.ARRIVING, Side.SOURCE, each) for each in guard.networks),
    )


def _passing(guard: Guard, interface: str) -> tuple[Rule, ...]:
    """What members send to a member goes back into the tunnel, or nowhere: not even where the host has its address."""
    came = Came(interface)
    return (
        Rule(Chain.PASSING, "from member to member", (came, Goes(interface)), drops=False),
        *(
            Rule(Chain.PASSING, f"through the tunnel to {network}", (came, Address(Side.DESTINATION, network)))
            for network in guard.networks
        ),
    )


def _leaving(guard: Guard, interface: str) -> tuple[Rule, ...]:
    return (
        Rule(Chain.LEAVING, "through the tunnel", (Goes(interface),), drops=False),
        Rule(Chain.LEAVING, "to this host itself", (Goes(LOOPBACK),), drops=False),
        *(_by_address(Chain.LEAVING, Side.DESTINATION, each, drops=False) for each in guard.spared),
        *(_by_address(Chain.LEAVING, Side.DESTINATION, each) for each in guard.networks),
    )


def _by_address(chain: Chain, side: Side, network: IPNetwork, *, drops: bool = True) -> Rule:
    text = f"{side.value} {network}" if drops else f"{side.value} {network}, which is the host's"
    return Rule(chain, text, (Address(side, network),), drops)
