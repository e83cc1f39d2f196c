"""Mesh addresses: the own ones, and who owns an address that several members claim (protocol notes, 3.4).

A claimant that WireGuard has reached beats one that it has not, and one that has shown itself beats a mere name: keys
can be made until one fits, and anybody can tell of them. Then a claim that follows from the claimant's key beats one
that does not. Of two that follow the bytewise smaller key wins, as upstream decides; of two others the one that was
here first, since nobody moves for a stranger. The loser gets no packets for the address until it has moved. A node that
is the loser itself, against a member that it has reached, moves to the next derivation that nobody claims.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from wgmesh.core.addressing import (
    claimed_nonce,
    derive_ipv4,
    derive_ipv6,
    free_ipv4,
)
from wgmesh.core.model import Identity, IPAddress, Peer, PublicKey
from wgmesh.node.settings import NodeSettings


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """This node's addresses in the mesh."""

    ipv4: ipaddress.IPv4Address
    ipv6: ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Contest:
    """Several members claim one address."""

    address: IPAddress
    winner: PublicKey
    losers: tuple[PublicKey, ...]


class AddressBook:
    """Decides who owns which mesh address. Derivations are remembered, because each costs a hash."""

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._is_derived = lru_cache(_DERIVATIONS_MAX)(self._follows_from_key)

    def own(self, identity: Identity, peers: Iterable[Peer]) -> OwnAddresses:
        """The own addresses: the stored ones where they still fit, moved away from a lost contest."""
        key = identity.public_key
        ipv6 = derive_ipv6(key, self._settings.secret, self._settings.keys)
        ipv4 = self._stored_ipv4(identity) or self._derive(key)
        known = tuple(peers)
        claims = {address: claimants for address, claimants in _claims(known).items() if address.version == 4}
        reached = _reached(known)
        if self._winner(ipv4, [key, *(each for each in claims.get(ipv4, ()) if each in reached)]) != key:
            ipv4 = free_ipv4(key, self._settings.secret, self._settings.keys, self._settings.mesh_subnet, claims)
        return OwnAddresses(ipv4, ipv6)

    def contests(self, own_key: PublicKey, own: OwnAddresses, peers: Iterable[Peer]) -> tuple[Contest, ...]:
        """All addresses with more than one claimant, each with its winner."""
        known = tuple(peers)
        claims = _claims(known)
        for address in (own.ipv4, own.ipv6):
            claims.setdefault(address, []).append(own_key)
        contested = {address: claimants for address, claimants in claims.items() if len(claimants) > 1}
        if not contested:
            return ()
        met_at = {peer.public_key: peer.first_seen_at for peer in known}
        ranks = (_reached(known) | {own_key}, _shown(known))
        return tuple(self._contest(address, claimants, met_at, ranks) for address, claimants in contested.items())

    def _contest(
        self,
        address: IPAddress,
        claimants: list[PublicKey],
        met_at: Mapping[PublicKey, float],
        ranks: Iterable[AbstractSet[PublicKey]],
    ) -> Contest:
        """`ranks` are the keys that come before all others, the best first."""
        better = ([key for key in claimants if key in rank] for rank in ranks)
        candidates = next((keys for keys in better if keys), claimants)
        winner = self._winner(address, candidates, met_at)
        return Contest(address, winner, tuple(sorted(key for key in claimants if key != winner)))

    def _winner(
        self, address: IPAddress, claimants: list[PublicKey], met_at: Mapping[PublicKey, float] = MappingProxyType({})
    ) -> PublicKey:
        """`met_at` says when each peer was first heard of; where we are a claimant ourselves, only the keys decide."""
        is_ours = any(key not in met_at for key in claimants)

        def rank(key: PublicKey) -> tuple[bool, float, PublicKey]:
            is_derived = self._is_derived(key, address)
            return (not is_derived, 0.0 if is_derived or is_ours else met_at[key], key)

        return min(claimants, key=rank)

    def _follows_from_key(self, key: PublicKey, address: IPAddress) -> bool:
        settings = self._settings
        if isinstance(address, ipaddress.IPv6Address):
            return address == derive_ipv6(key, settings.secret, settings.keys)
        return claimed_nonce(address, key, settings.secret, settings.keys, settings.mesh_subnet) is not None

    def _stored_ipv4(self, identity: Identity) -> ipaddress.IPv4Address | None:
        stored = identity.mesh_ipv4
        return stored if stored is not None and stored in self._settings.mesh_ipv4_network else None

    def _derive(self, key: PublicKey) -> ipaddress.IPv4Address:
        return derive_ipv4(key, self._settings.secret, self._settings.keys, self._settings.mesh_subnet)


_DERIVATIONS_MAX = 4096  # twice the addresses of the 1,000 peers that discovery holds at most, with room for changes


def _reached(peers: Iterable[Peer]) -> frozenset[PublicKey]:
    """Those with whom a handshake has completed, whenever that was."""
    return frozenset(
        peer.public_key for peer in peers if any(candidate.proven_at is not None for candidate in peer.candidates)
    )


def _shown(peers: Iterable[Peer]) -> frozenset[PublicKey]:
    """Those that have spoken with a proof, or from where they were asked."""
    return frozenset(peer.public_key for peer in peers if peer.direct_seen_at or peer.possession_at)


def _claims(peers: Iterable[Peer]) -> dict[IPAddress, list[PublicKey]]:
    claims: dict[IPAddress, list[PublicKey]] = {}
    for peer in peers:
        for address in (peer.mesh_ipv4, peer.mesh_ipv6):
            if address is not None:
                claims.setdefault(address, []).append(peer.public_key)
    return claims
