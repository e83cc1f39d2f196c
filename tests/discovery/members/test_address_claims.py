"""Who is said to have which address."""

from __future__ import annotations

import ipaddress

from wgmesh.core.model import PublicKey
from wgmesh.discovery.members.address_claims import AddressClaims

HERE, THERE = ipaddress.IPv4Address("10.1.0.1"), ipaddress.IPv6Address("fd00::1")
ONE, OTHER = PublicKey(b"1" * 32), PublicKey(b"2" * 32)


def test_every_claimant_of_an_address_is_known_until_it_claims_another() -> None:
    claims = AddressClaims()
    claims.set(ONE, HERE, THERE)
    claims.set(OTHER, HERE, None)
    assert claims.of(HERE) == {ONE, OTHER} and claims.of(THERE) == {ONE}
    claims.set(ONE, THERE)
    assert claims.of(HERE) == {OTHER} and claims.of(THERE) == {ONE}
    claims.drop(OTHER)
    claims.drop(OTHER)
    assert claims.of(HERE) == frozenset()
