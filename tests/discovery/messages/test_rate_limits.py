"""Who is let in while somebody floods us."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wgmesh.core.model import IPAddress, PublicKey
from wgmesh.core.wire.envelope import MAX_DATAGRAM_BYTES
from wgmesh.discovery.messages.rate_limits import (
    COST_BYTES,
    LONG_BURST,
    LONG_RATE,
    MEMBER_BURST,
    MEMBER_RATE,
    MEMBERS_MAX,
    PROBE_BURST,
    PROBE_RATE,
    SMALLEST_ENVELOPE_BYTES,
    SOURCE_BURST,
    SOURCE_RATE,
    SOURCES_MAX,
    STRANGERS_BURST,
    STRANGERS_RATE,
    TRUSTED_BURST,
    TRUSTED_MAX,
    TRUSTED_RATE,
    RateLimits,
)

NOW = 1_800_000_000.0
MEMBER = ipaddress.ip_address("192.0.2.1")


def strangers(count: int) -> list[IPAddress]:
    return [ipaddress.IPv4Address(0x0B000000 + number) for number in range(count)]


def flood(gate: RateLimits, now: float, count: int = 2 * STRANGERS_BURST) -> int:
    """How many of so many forged sources are let in."""
    return sum(gate.admits_source(host, now) for host in strangers(count))


def test_a_flood_from_many_sources_is_cut_to_what_opening_may_cost() -> None:
    gate = RateLimits()

    assert flood(gate, NOW) == STRANGERS_BURST
    assert flood(gate, NOW + 0.5) == STRANGERS_RATE / 2


def test_an_address_that_has_answered_us_gets_through_a_flood_of_strangers() -> None:
    gate = RateLimits()
    gate.trust(MEMBER, NOW + 60)
    flood(gate, NOW)

    assert not gate.admits_source(ipaddress.ip_address("192.0.2.2"), NOW)
    assert gate.admits_source(MEMBER, NOW)


def test_a_trusted_address_has_a_rate_too() -> None:
    gate = RateLimits()
    gate.trust(MEMBER, NOW + 60)

    assert sum(gate.admits_source(MEMBER, NOW) for _ in range(1000)) == SOURCE_BURST
    assert sum(gate.admits_source(MEMBER, NOW + 1) for _ in range(1000)) == SOURCE_RATE


def test_forged_trusted_sources_do_not_lock_out_strangers() -> None:
    gate = RateLimits()
    for host in strangers(100):
        gate.trust(host, NOW + 60)
    for host in strangers(100):
        for _ in range(SOURCE_BURST):
            gate.admits_source(host, NOW)

    assert gate.admits_source(MEMBER, NOW)


def test_trust_ends_and_is_never_shortened() -> None:
    gate = RateLimits()
    gate.trust(MEMBER, NOW + 60)
    gate.trust(MEMBER, NOW + 4)

    flood(gate, NOW + 59)
    assert gate.admits_source(MEMBER, NOW + 59)
    flood(gate, NOW + 60)
    assert not gate.admits_source(MEMBER, NOW + 60)


def test_a_single_source_that_floods_takes_nothing_from_others() -> None:
    gate = RateLimits()

    admitted = sum(gate.admits_source(MEMBER, NOW) for _ in range(50_000))

    assert admitted == SOURCE_BURST
    assert flood(gate, NOW) == STRANGERS_BURST - SOURCE_BURST


def test_the_addresses_of_one_ipv6_network_pay_together_except_on_the_link() -> None:
    gate = RateLimits()
    one_host = [ipaddress.IPv6Address((0x20010DB8 << 96) + number) for number in range(1000)]
    neighbours = [ipaddress.IPv6Address((0xFE80 << 112) + number) for number in range(1000)]

    assert sum(gate.admits_source(host, NOW) for host in one_host) == SOURCE_BURST
    assert sum(gate.admits_source(host, NOW) for host in neighbours) == 1000


def test_long_datagrams_of_strangers_cost_by_their_length_and_do_not_hinder_short_ones() -> None:
    gate = RateLimits()
    size = 31 * COST_BYTES

    assert sum(gate.admits_source(host, NOW, size) for host in strangers(1000)) == LONG_BURST // 32
    assert flood(gate, NOW) == STRANGERS_BURST


def test_repeating_what_a_member_said_does_not_use_up_what_the_member_may_say() -> None:
    gate, key, host = RateLimits(), PublicKey(bytes(32)), ipaddress.IPv4Address("192.0.2.1")

    assert sum(gate.admits_repeat(key, host, NOW) for _ in range(1000)) == MEMBER_BURST
    assert gate.admits_member(key, host, NOW)


def test_who_speaks_in_the_name_of_a_member_from_elsewhere_does_not_use_up_what_the_member_may_say() -> None:
    gate, key = RateLimits(), PublicKey(bytes(32))
    own, other = ipaddress.IPv4Address("192.0.2.1"), ipaddress.IPv4Address("192.0.2.66")

    for admits in (gate.admits_member, gate.admits_repeat):
        assert sum(admits(key, other, NOW) for _ in range(1000)) == MEMBER_BURST
        assert admits(key, own, NOW)


def test_only_what_begins_and_measures_like_an_envelope_is_worth_opening() -> None:
    gate = RateLimits()
    sizes = (SMALLEST_ENVELOPE_BYTES - 1, SMALLEST_ENVELOPE_BYTES, MAX_DATAGRAM_BYTES, MAX_DATAGRAM_BYTES + 1)

    assert [gate.looks_like_envelope(b"{".ljust(size)) for size in sizes] == [False, True, True, False]
    assert not gate.looks_like_envelope(b"d".ljust(200)) and not gate.looks_like_envelope(b" {".ljust(200))


def test_a_datagram_costs_more_from_a_certain_length_on() -> None:
    gate = RateLimits()

    assert sum(gate.admits_source(host, NOW, COST_BYTES - 1) for host in strangers(10_000)) == STRANGERS_BURST
    assert sum(gate.admits_source(host, NOW, COST_BYTES) for host in strangers(1000)) == LONG_BURST // 2
    assert sum(gate.admits_source(host, NOW + 1, COST_BYTES) for host in strangers(1000)) == LONG_RATE // 2


def test_a_long_datagram_for_which_too_little_is_left_costs_its_source_nothing() -> None:
    gate, size = RateLimits(), 2 * COST_BYTES
    assert LONG_BURST % 3  # something is left that is too little
    assert sum(gate.admits_source(host, NOW, size) for host in strangers(1000)) == LONG_BURST // 3
    assert not any(gate.admits_source(MEMBER, NOW, size) for _ in range(1000))

    assert sum(gate.admits_source(MEMBER, NOW) for _ in range(1000)) == SOURCE_BURST


def test_all_that_have_answered_us_pay_together_too_by_the_length_of_what_they_send() -> None:
    for size, cost in ((0, 1), (2 * COST_BYTES, 3)):
        gate, hosts = RateLimits(), strangers(TRUSTED_BURST + 100)
        for host in hosts:
            gate.trust(host, NOW + 60)

        assert sum(gate.admits_source(host, NOW, size) for host in hosts) == TRUSTED_BURST // cost
        assert sum(gate.admits_source(host, NOW + 0.5, size) for host in hosts) == TRUSTED_RATE // 2 // cost


def test_a_member_that_waits_behind_a_flood_has_lost_nothing_of_its_own_when_it_ends() -> None:
    gate = RateLimits()
    flood(gate, NOW)
    for _ in range(SOURCE_BURST):
        assert not gate.admits_source(MEMBER, NOW)

    assert sum(gate.admits_source(MEMBER, NOW + 0.1) for _ in range(1000)) == SOURCE_BURST


def test_the_address_that_was_trusted_longest_ago_is_forgotten_first() -> None:
    gate, hosts = RateLimits(), strangers(TRUSTED_MAX + 1)
    for host in (*hosts[:-1], hosts[0], hosts[-1]):
        gate.trust(host, NOW + 60)
    other = [ipaddress.IPv4Address(0x0C000000 + number) for number in range(2 * STRANGERS_BURST)]
    for host in other:
        gate.admits_source(host, NOW)

    assert [gate.admits_source(hosts[number], NOW) for number in (0, 1, 2, -1)] == [True, False, True, True]


def by_name(
    admits: Callable[[RateLimits, PublicKey, IPAddress, float], bool],
) -> Callable[[RateLimits, PublicKey, float], bool]:
    """All names at one host."""
    return lambda gate, key, now: admits(gate, key, ipaddress.IPv4Address("192.0.2.1"), now)


@pytest.mark.parametrize(
    ("admits", "rate", "burst", "bound"),
    [
        (by_name(RateLimits.admits_member), MEMBER_RATE, MEMBER_BURST, MEMBERS_MAX),
        (by_name(RateLimits.admits_repeat), MEMBER_RATE, MEMBER_BURST, MEMBERS_MAX),
        (RateLimits.admits_probe, PROBE_RATE, PROBE_BURST, SOURCES_MAX),
    ],
    ids=["member", "repeat", "probe"],
)
def test_each_pays_for_itself_and_who_was_quiet_for_longest_is_forgotten(
    admits: Callable[[RateLimits, Any, float], bool], rate: float, burst: int, bound: int
) -> None:
    gate = RateLimits()
    sources: list[Any] = [PublicKey(number.to_bytes(32, "big")) for number in range(bound + 1)]
    if admits is RateLimits.admits_probe:
        sources = list(strangers(bound + 1))
    first, *others, last = sources

    assert sum(admits(gate, first, NOW) for _ in range(1000)) == burst
    assert sum(admits(gate, first, NOW + 1) for _ in range(1000)) == rate
    assert all(admits(gate, other, NOW + 1) for other in others)
    assert not admits(gate, first, NOW + 1)
    assert admits(gate, last, NOW + 1) and admits(gate, others[1], NOW + 1)
    for other in others:
        admits(gate, other, NOW + 1)
    assert admits(gate, first, NOW + 1)


def test_neighbouring_ipv6_networks_pay_apart_from_each_other() -> None:
    gate = RateLimits()
    hosts = [ipaddress.IPv6Address((0x20010DB8 << 96) + (number << 64) + 1) for number in range(4)]

    for host in hosts:
        assert sum(gate.admits_source(host, NOW) for _ in range(1000)) == SOURCE_BURST
        assert not gate.admits_source(host + 1, NOW)
        assert sum(gate.admits_probe(host, NOW) for _ in range(100)) == PROBE_BURST
        assert not gate.admits_probe(host + 1, NOW)


@given(st.lists(st.tuples(st.integers(0, 3 * TRUSTED_MAX), st.booleans()), max_size=300))
@settings(max_examples=25, deadline=None)
def test_what_is_remembered_is_bounded(inputs: list[tuple[int, bool]]) -> None:
    gate = RateLimits()
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
