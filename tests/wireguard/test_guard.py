"""Which packets the rules of a node drop, by a reading of the rules as the kernel reads them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

import pytest
from support.devices import LIMITS, MESH
from wgmesh.core.model import Guard, IPAddress
from wgmesh.wireguard.guard import Address, Came, Chain, Match, Side, names, rules

SPARED = ipaddress.ip_network("10.77.5.0/24")
GUARD = Guard(LIMITS.mesh, (SPARED,), tuple(address.ip for address in MESH))
OWN, MEMBER, OUTSIDE, HOSTS = "10.77.0.1", "10.77.9.9", "192.168.77.7", "10.77.5.5"


@dataclass(frozen=True)
class Packet:
    """`came` is empty for one that this host sends, `goes` for one that it takes."""

    source: str
    destination: str
    came: str = ""
    goes: str = ""

    def fits(self, match: Match) -> bool:
        match match:
            case Address(side, network):
                address: IPAddress = ipaddress.ip_address(
                    self.source if side is Side.SOURCE else self.destination,
                )
                return address.version == network.version and address in network
            case Came(interface):
                return self.came == interface
            case _:
                return self.goes == match.interface


def is_dropped(packet: Packet, guard: Guard = GUARD) -> bool:
    """Whether one of the chains that the packet goes through drops it."""
    chains = [Chain.ARRIVING] if packet.came else []
    chains += [Chain.PASSING] if packet.came and packet.goes else []
    chains += [Chain.LEAVING] if packet.goes else []
    for chain in chains:
        for rule in rules(guard, "wg0"):
            if rule.chain is chain and all(packet.fits(match) for match in rule.matches):
                if rule.drops:
                    return True
                break
    return False


@pytest.mark.parametrize(
    "packet",
    [
        Packet(MEMBER, "192.168.77.1", came="eth0"),
        Packet(MEMBER, OWN, came="eth0"),
        Packet("fd5a::9", "fd77::1", came="eth0"),
        Packet(MEMBER, OUTSIDE, came="eth0", goes="eth1"),
        Packet(MEMBER, OWN, came="wg1"),
        Packet(OUTSIDE, OWN, came="eth0"),
        Packet("fd77::7", "fd5a::1", came="eth0"),
        Packet(HOSTS, OWN, came="eth0"),
        Packet(OWN, MEMBER, goes="eth0"),
        Packet(OWN, MEMBER, goes="wg1"),
        Packet(OUTSIDE, MEMBER, came="eth0", goes="eth1"),
        Packet(MEMBER, "10.77.8.8", came="wg0", goes="eth0"),
        Packet(MEMBER, HOSTS, came="wg0", goes="eth0"),
    ],
)
def test_a_mesh_address_outside_the_tunnel_is_dropped(packet: Packet) -> None:
    assert is_dropped(packet)


@pytest.mark.parametrize(
    "packet",
    [
        Packet(MEMBER, OWN, came="wg0"),
        Packet(OWN, MEMBER, goes="wg0"),
        Packet(OWN, OWN, goes="lo"),
        Packet(OWN, OWN, came="lo"),
        Packet(MEMBER, "10.77.8.8", came="wg0", goes="wg0"),
        Packet(MEMBER, OUTSIDE, came="wg0", goes="eth0"),
        Packet(OUTSIDE, MEMBER, came="eth0", goes="wg0"),
        Packet(HOSTS, OUTSIDE, came="eth0", goes="eth1"),
        Packet(OUTSIDE, HOSTS, came="eth0", goes="eth1"),
        Packet("192.168.77.1", HOSTS, goes="eth0"),
        Packet(OUTSIDE, "192.168.77.1", came="eth0"),
        Packet("10.78.0.1", "10.78.0.2", came="wg1", goes="wg1"),
        Packet("fd77::7", "fd77::8", came="eth0", goes="eth1"),
    ],
)
def test_what_goes_through_the_tunnel_and_what_is_the_hosts_passes(packet: Packet) -> None:
    assert not is_dropped(packet)


def test_members_do_not_speak_to_a_network_of_the_host_that_has_taken_the_place_of_the_meshs() -> None:
    """The node has no address then, and a host that forwards would send into its LAN what was meant for the node."""
    aside = Guard(LIMITS.mesh, LIMITS.mesh[:1], ())
    assert is_dropped(Packet(MEMBER, OWN, came="wg0", goes="eth0"), aside)
    assert not is_dropped(Packet(OUTSIDE, OWN, came="eth0", goes="eth1"), aside)


def test_every_rule_has_a_name_of_its_own_and_a_guard_of_nothing_has_no_rules() -> None:
    assert len(set(names(GUARD))) == len(names(GUARD)) > 0
    assert rules(Guard(), "wg0") == ()
