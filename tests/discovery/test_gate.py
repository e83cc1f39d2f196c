"""Who is let in while somebody floods us."""

from __future__ import annotations

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st
from wgmesh.core.model import IPAddress, PublicKey
from wgmesh.discovery.gate import (
    COST_BYTES,
    LONG_BURST,
    MEMBER_BURST,
    SOURCE_BURST,
    SOURCE_RATE,
    SOURCES_MAX,
    STRANGERS_BURST,
    STRANGERS_RATE,
    TRUSTED_MAX,
    Gate,
)

NOW = 1_800_000_000.0
MEMBER = ipaddress.ip_address("192.0.2.1")


def strangers(count: int) -> list[IPAddress]:
    return [ipaddress.IPv4Address(0x0B000000 + number) for number in range(count)]


def flood(gate: Gate, now: float, count: int = 2 * STRANGERS_BURST) -> int:
    """How many of so many forged sources are let in."""
    return sum(gate.admits_source(host, now) for host in strangers(count))


def test_a_flood_from_many_sources_is_cut_to_what_opening_may_cost() -> None:
    gate = Gate()

    assert flood(gate, NOW) == STRANGERS_BURST
    assert flood(gate, NOW + 0.5) == STRANGERS_RATE / 2


def test_an_address_that_has_answered_us_gets_through_a_flood_of_strangers() -> None:
    gate = Gate()
    gate.trust(MEMBER, NOW + 60)
    flood(gate, NOW)

    assert not gate.admits_source(ipaddress.ip_address("192.0.2.2"), NOW)
    assert gate.admits_source(MEMBER, NOW)


def test_a_trusted_address_has_a_rate_too() -> None:
    gate = Gate()
    gate.trust(MEMBER, NOW + 60)

    assert sum(gate.admits_source(MEMBER, NOW) for _ in range(1000)) == SOURCE_BURST
    assert sum(gate.admits_source(MEMBER, NOW + 1) for _ in range(1000)) == SOURCE_RATE


def test_forged_trusted_sources_do_not_lock_out_strangers() -> None:
    gate = Gate()
    for host in strangers(100):
        gate.trust(host, NOW + 60)
    for host in strangers(100):
        for _ in range(SOURCE_BURST):
            gate.admits_source(host, NOW)

    assert gate.admits_source(MEMBER, NOW)


def test_trust_ends_and_is_never_shortened() -> None:
    gate = Gate()
    gate.trust(MEMBER, NOW + 60)
    gate.trust(MEMBER, NOW + 4)

    flood(gate, NOW + 59)
    assert gate.admits_source(MEMBER, NOW + 59)
    flood(gate, NOW + 60)
    assert not gate.admits_source(MEMBER, NOW + 60)


def test_a_single_source_that_floods_takes_nothing_from_others() -> None:
    gate = Gate()

    admitted = sum(gate.admits_source(MEMBER, NOW) for _ in range(50_000))

    assert admitted == SOURCE_BURST
    assert flood(gate, NOW) == STRANGERS_BURST - SOURCE_BURST


def test_the_addresses_of_one_ipv6_network_pay_together_except_on_the_link() -> None:
    gate = Gate()
    one_host = [ipaddress.IPv6Address((0x20010DB8 << 96) + number) for number in range(1000)]
    neighbours = [ipaddress.IPv6Address((0xFE80 << 112) + number) for number in range(1000)]

    assert sum(gate.admits_source(host, NOW) for host in one_host) == SOURCE_BURST
    assert sum(gate.admits_source(host, NOW) for host in neighbours) == 1000


def test_long_datagrams_of_strangers_cost_by_their_length_and_do_not_hinder_short_ones() -> None:
    gate = Gate()
    size = 31 * COST_BYTES

    assert sum(gate.admits_source(host, NOW, size) for host in strangers(1000)) == LONG_BURST // 32
    assert flood(gate, NOW) == STRANGERS_BURST


def test_whoever_repeats_what_a_member_said_does_not_use_up_what_the_member_may_say() -> None:
    gate, key = Gate(), PublicKey(bytes(32))

    assert sum(gate.admits_repeat(key, NOW) for _ in range(1000)) == MEMBER_BURST
    assert gate.admits_member(key, NOW)


@given(st.lists(st.tuples(st.integers(0, 3 * TRUSTED_MAX), st.booleans()), max_size=300))
@settings(max_examples=25, deadline=None)
def test_what_is_remembered_is_bounded(inputs: list[tuple[int, bool]]) -> None:
    gate = Gate()
    for number in range(TRUSTED_MAX):
        gate.trust(ipaddress.IPv4Address(0x0C000000 + number), NOW + 1)
    for number, is_trusted in inputs:
        host = ipaddress.IPv4Address(0x0B000000 + number)
        if is_trusted:
            gate.trust(host, NOW + 1)
        gate.admits_source(host, NOW)

    assert len(gate._trusted) <= TRUSTED_MAX
    assert len(gate._trusted_sources._buckets) <= TRUSTED_MAX
    assert len(gate._sources._buckets) <= SOURCES_MAX
