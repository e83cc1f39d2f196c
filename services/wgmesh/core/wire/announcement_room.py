"""How many networks a node can announce: they go into every announcement whole, since each replaces the last.

An announcement is one datagram that needs no fragments. Candidates and known peers give way to networks; networks give
way to nothing, because a list that is not complete would withdraw the rest.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from wgmesh.core.keys.possession import PROOF_BYTES
from wgmesh.core.model import KEY_BYTES, Endpoint, IPNetwork, PublicKey
from wgmesh.core.wire.advertised import AdvertisedEndpoint
from wgmesh.core.wire.announcement import (
    BOOT_BYTES,
    DATAGRAM_BUDGET_BYTES,
    Announcement,
    Extension,
    encode_announcement,
)
from wgmesh.core.wire.envelope import MessageType, plaintext_of, plaintext_room
from wgmesh.core.wire.jsonstrict import to_json
from wgmesh.core.wire.wirefield import MAX_ROUTABLE_NETWORKS

_LONGEST_IPV4 = ipaddress.IPv4Address("255.255.255.255")
_LONGEST_IPV6 = ipaddress.IPv6Address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
_LONGEST_ENDPOINT = Endpoint(_LONGEST_IPV6, 65535)
_LONGEST_SEQUENCE = 10**10 - 1  # 30 messages a second for ten years
_LONGEST_REVISION = 10**15 - 1  # milliseconds, beyond the revisions that gossip can carry
_TEN_DIGITS = 10**10 - 1  # every time until 2286


def fitting_count(networks: Sequence[IPNetwork], hostname: str) -> int:
    """Returns how many of the networks, from the first, fit into every announcement of a node of this name."""
    room = plaintext_room(MessageType.REPLY, DATAGRAM_BUDGET_BYTES)
    room -= len(plaintext_of(MessageType.REPLY, encode_announcement(longest_announcement(hostname), _TEN_DIGITS)))
    room -= len(',"routable_networks":[]')
    count = 0
    for network in networks[:MAX_ROUTABLE_NETWORKS]:
        room -= len(to_json(str(network))) + (len(",") if count else 0)
        if room < 0:
            break
        count += 1
    return count


def networks_problem(networks: Sequence[IPNetwork], hostname: str) -> str:
    """Returns why these networks cannot be announced together, and what to do; the empty text if they can."""
    count = fitting_count(networks, hostname)
    if count == len(networks):
        return ""
    return (
        f"{len(networks)} networks are given, and one announcement has room for the first {count};"
        " join them into larger ones, or let another node announce some"
    )


def longest_announcement(hostname: str) -> Announcement:
    """A REPLY, which is longer than the other types, with the longest text in every other member."""
    return Announcement(
        public_key=PublicKey(bytes(KEY_BYTES)),
        mesh_ipv4=_LONGEST_IPV4,
        mesh_ipv6=_LONGEST_IPV6,
        hostname=hostname,
        endpoint=AdvertisedEndpoint.of(_LONGEST_ENDPOINT),
        introducer=True,
        nat_type="symmetric",
        observed_endpoint=_LONGEST_ENDPOINT,
        extension=Extension(
            bytes(BOOT_BYTES),
            _LONGEST_SEQUENCE,
            exchange_port=65535,
            revision=_LONGEST_REVISION,
            proof=bytes(PROOF_BYTES),
            double=True,
        ),
    )
