"""What is applied and told again, and what is left out because it would change nothing."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from wgmesh.core.model import (
    DesiredDevice,
    Endpoint,
    ObservedDevice,
    ObservedPeer,
    Overlap,
    PeerProof,
    PeersSnapshot,
    PublicKey,
    SelfDescription,
)
from wgmesh.node.last_applied import PROOFS_EVERY_S, QUIET_TURN_S, LastApplied

NOW = 1_000_000.0
NETWORK = ipaddress.ip_network("10.1.5.0/24")
KEY = PublicKey(b"k" * 32)
ENDPOINT = Endpoint.parse("192.0.2.1:51820")
DESIRED = DesiredDevice((ipaddress.ip_interface("10.1.0.1/16"),), 51820, 1420)
DEVICE = ObservedDevice("wg0", "test", 51820, DESIRED.addresses, 1420, (ObservedPeer(KEY, ENDPOINT),))
SELF = SelfDescription(KEY, ipaddress.IPv4Address("10.1.0.1"), ipaddress.IPv6Address("fd00::1"), 51820)
HEARD = PeersSnapshot(revision=1, description=SELF)
PROOF = PeerProof(KEY, ENDPOINT, NOW)


def test_the_first_wish_and_every_new_wish_are_applied() -> None:
    intent = LastApplied()
    assert intent.must_apply(DESIRED, None, NOW)
    intent.applied(DESIRED, DEVICE, NOW)

    assert not intent.must_apply(DESIRED, DEVICE, NOW + 1)
    assert intent.must_apply(replace(DESIRED, mtu=1280), DEVICE, NOW + 1)


def test_traffic_and_roaming_need_no_apply() -> None:
    intent = LastApplied()
    intent.applied(DESIRED, DEVICE, NOW)
    moved = ObservedPeer(KEY, Endpoint.parse("198.51.100.1:9"), rx_bytes=5, handshake_at=NOW)

    assert not intent.must_apply(DESIRED, replace(DEVICE, peers=(moved,)), NOW + 1)


def test_a_change_by_hand_is_applied_over() -> None:
    intent = LastApplied()
    intent.applied(DESIRED, DEVICE, NOW)

    assert intent.must_apply(DESIRED, replace(DEVICE, peers=()), NOW + 1)
    assert intent.must_apply(DESIRED, replace(DEVICE, addresses=()), NOW + 1)
    assert intent.must_apply(DESIRED, replace(DEVICE, mesh_routes=frozenset({NETWORK})), NOW + 1)
    assert intent.must_apply(DESIRED, replace(DEVICE, overlaps=(Overlap(NETWORK, "is another's"),)), NOW + 1)
    assert intent.must_apply(DESIRED, replace(DEVICE, guard=("a rule",)), NOW + 1)
    assert intent.must_apply(DESIRED, None, NOW + 1)


def test_a_quiet_device_is_looked_over_now_and_then() -> None:
    intent = LastApplied()
    intent.applied(DESIRED, DEVICE, NOW)

    assert not intent.must_apply(DESIRED, DEVICE, NOW + QUIET_TURN_S - 1)
    assert intent.must_apply(DESIRED, DEVICE, NOW + QUIET_TURN_S)


def test_a_restarted_discovery_is_told_again() -> None:
    intent = LastApplied()
    intent.told((), NOW)

    assert not intent.must_tell(SELF, (), HEARD, NOW + 1)
    assert intent.must_tell(SELF, (), PeersSnapshot(), NOW + 1)


def test_a_newly_proven_peer_is_told_at_once_and_an_old_proof_now_and_then() -> None:
    intent = LastApplied()
    intent.told((), NOW)
    assert intent.must_tell(SELF, (PROOF,), HEARD, NOW + 1)
    intent.told((PROOF,), NOW + 1)

    assert not intent.must_tell(SELF, (PROOF,), HEARD, NOW + 2)
    assert intent.must_tell(SELF, (PROOF,), HEARD, NOW + 1 + PROOFS_EVERY_S)


def test_a_node_without_proofs_has_nothing_to_repeat() -> None:
    intent = LastApplied()
    intent.told((), NOW)

    assert not intent.must_tell(SELF, (), HEARD, NOW + 10_000)
