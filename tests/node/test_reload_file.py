"""The reload file: upstream's cases, and what we refuse that upstream takes blindly."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.node.reload_file import PROBLEMS_MAX, parse_reload_file

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "reload_file.json").read_text())


def test_upstreams_files_are_read_as_upstream_reads_them_where_their_networks_are_networks() -> None:
    read = 0
    for case in VECTORS["cases"]:
        wanted = case["advertise_routes"]
        if wanted is not None and not all("/" in text for text in wanted):
            continue
        request = parse_reload_file(case["text"])
        routes = None if request.advertise_routes is None else [str(route) for route in request.advertise_routes]
        assert routes == wanted
        assert (request.log_level or "") == case["log_level"]
        read += 1
    assert read >= 4


def refused(text: str, hostname: str = "") -> tuple[str, ...]:
    """The problems of a file of which nothing counts."""
    request = parse_reload_file(text, hostname)
    assert (request.advertise_routes, request.log_level) == (None, None)
    return request.problems


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "log-level=debug\nadvertise-routes=a,192.168.7.0/24\n",
            ("line 2: advertise-routes: 'a' is not a network in CIDR form",),
        ),
        (
            "advertise-routes=192.168.7.0/24\n\nlog-level=loud\n",
            ("line 3: log-level: 'loud' is none of debug, info, warn, warning, error",),
        ),
        (
            "log-level=debug\nmtu=1300\nnonsense\n",
            (
                "line 2: 'mtu' cannot be changed while the node runs; restart it instead",
                "line 3: 'nonsense' is not key=value",
            ),
        ),
    ],
)
def test_a_half_good_file_is_refused_whole_with_the_line_and_the_key(text: str, problems: tuple[str, ...]) -> None:
    assert refused(text) == problems


def test_more_networks_than_an_announcement_can_carry_are_refused() -> None:
    networks = ",".join(f"192.168.{number}.0/24" for number in range(100, 140))

    (problem,) = refused(f"log-level=debug\nadvertise-routes={networks}\n", "gateway")

    assert problem.startswith("line 2: advertise-routes: 40 networks are given, and one announcement has room for the ")


def test_host_bits_are_cleared() -> None:
    request = parse_reload_file("advertise-routes=192.168.7.9/24")

    assert request.advertise_routes == (ipaddress.ip_network("192.168.7.0/24"),)


@pytest.mark.parametrize(
    ("networks", "reason"),
    [
        ("0.0.0.0/0", "default route"),
        ("10.0.0.0/8,::/0", "default route"),
        ("fe52::%eth0/64,2001:db8::/32", "interface"),  # found by fuzzing: no peer could read the announcement
        ("::ffff:10.0.0.0/103,2001:db8::/32", "write it as IPv4"),  # found by fuzzing: peers read another network
    ],
)
def test_a_network_that_peers_cannot_use_is_refused(networks: str, reason: str) -> None:
    (problem,) = refused(f"advertise-routes={networks}")

    assert problem.startswith("line 1: advertise-routes: ")
    assert reason in problem


def test_another_file_by_mistake_gives_a_screen_of_problems_and_no_more() -> None:
    problems = parse_reload_file("nonsense\n" * 5000 + f"log-level={'x' * 5000}").problems
    assert len(problems) == PROBLEMS_MAX + 1
    assert problems[-1] == "and 4981 more; is this the right file?"

    (problem,) = parse_reload_file(f"log-level={'x' * 5000}").problems
    assert len(problem) < 400


@given(st.text())
def test_no_text_makes_the_parser_fail_and_what_has_a_problem_asks_for_nothing(text: str) -> None:
    request = parse_reload_file(text)

    if request.problems:
        assert (request.advertise_routes, request.log_level) == (None, None)
