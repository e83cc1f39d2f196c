"""Networks that are announced together fit into one datagram, and one more would not."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.announcements import announcements, hostnames, networks
from wgmesh.core.model import IPNetwork
from wgmesh.core.wire.announcement import DATAGRAM_BUDGET_BYTES, Announcement, encode_announcement
from wgmesh.core.wire.announcement_room import fitting_count, longest_announcement, networks_problem
from wgmesh.core.wire.envelope import MessageType, seal

NOW = 1_763_800_000
KEY, NONCE = bytes(32), bytes(12)
MANY: tuple[IPNetwork, ...] = tuple(ipaddress.ip_network(f"192.168.{number}.0/24") for number in range(100, 200))


def size(announcement: Announcement, message_type: str = "REPLY") -> int:
    return len(seal(message_type, encode_announcement(announcement, NOW), KEY, NONCE))


def test_a_dozen_ordinary_networks_fit_whatever_else_is_said() -> None:
    assert 12 <= fitting_count(MANY, "gateway.example.org") < 20
    assert networks_problem(MANY[:12], "gateway.example.org") == ""


@given(hostnames, st.lists(networks, min_size=100, max_size=100))
def test_the_bound_is_exact(hostname: str, given_networks: list[IPNetwork]) -> None:
    count = fitting_count(given_networks, hostname)
    full = replace(longest_announcement(hostname), routable_networks=tuple(given_networks[:count]))
    assert size(full) <= DATAGRAM_BUDGET_BYTES
    fuller = replace(full, routable_networks=tuple(given_networks[: count + 1]))
    assert size(fuller) > DATAGRAM_BUDGET_BYTES


@given(announcements, st.lists(networks, max_size=40), st.sampled_from(["HELLO", "REPLY", "ANNOUNCE"]))
def test_no_announcement_with_networks_that_fit_is_larger_than_the_budget(
    announcement: Announcement, given_networks: list[IPNetwork], message_type: MessageType
) -> None:
    count = fitting_count(given_networks, announcement.hostname)
    said = replace(announcement, routable_networks=tuple(given_networks[:count]), known_peers=())
    if said.extension is not None:  # both give way to networks
        said = replace(said, extension=replace(said.extension, candidates=(), traceparent="", sequence=10**10 - 1))
    assert size(said, message_type) <= DATAGRAM_BUDGET_BYTES


def test_the_problem_says_how_many_fit() -> None:
    count = fitting_count(MANY, "a")
    problem = networks_problem(MANY, "a")
    assert problem.startswith(f"100 networks are given, and one announcement has room for the first {count};")
    assert networks_problem(MANY[:count], "a") == networks_problem((), "a") == ""
    assert networks_problem(MANY[: count + 1], "a")


def test_a_long_host_name_leaves_less_room() -> None:
    assert 0 < fitting_count(MANY, "h" * 200) < fitting_count(MANY, "h" * 63) < fitting_count(MANY, "h")
    assert fitting_count(MANY, "h" * 253) == 0  # beside a proof; networks_problem says so
