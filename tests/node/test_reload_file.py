"""The reload file: upstream's cases, and what we refuse that upstream takes blindly."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

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


def test_an_entry_that_is_no_network_is_reported_and_the_others_count() -> None:
    request = parse_reload_file("advertise-routes=a,192.168.7.0/24\n")

    assert request.advertise_routes == (ipaddress.ip_network("192.168.7.0/24"),)
    assert request.problems == ("line 1: 'a' is not a network in CIDR form",)


def test_more_networks_than_an_announcement_can_carry_are_reported_and_change_nothing() -> None:
    networks = ",".join(f"192.168.{number}.0/24" for number in range(100, 140))

    request = parse_reload_file(f"log-level=debug\nadvertise-routes={networks}\n", "gateway")

    assert request.advertise_routes is None
    assert request.log_level == "debug"
    (problem,) = request.problems
    assert problem.startswith("line 2: 40 networks are given, and one announcement has room for the first ")


def test_host_bits_are_cleared_and_a_default_route_is_refused() -> None:
    request = parse_reload_file("advertise-routes=192.168.7.9/24,0.0.0.0/0,::/0")

    assert request.advertise_routes == (ipaddress.ip_network("192.168.7.0/24"),)
    assert len(request.problems) == 2


def test_a_network_on_an_interface_of_this_machine_is_refused() -> None:
    """Found by fuzzing: no peer could read the announcement."""
    request = parse_reload_file("advertise-routes=fe52::%eth0/64,2001:db8::/32")

    assert request.advertise_routes == (ipaddress.ip_network("2001:db8::/32"),)
    assert "interface" in request.problems[0]


def test_a_network_that_peers_would_read_as_another_is_refused() -> None:
    """Found by fuzzing."""
    request = parse_reload_file("advertise-routes=::ffff:10.0.0.0/103,2001:db8::/32")

    assert request.advertise_routes == (ipaddress.ip_network("2001:db8::/32"),)
    assert "write it as IPv4" in request.problems[0]


def test_an_unknown_setting_is_reported_not_ignored() -> None:
    request = parse_reload_file("mtu=1300\nnonsense\n")

    assert request.problems == (
        "line 1: 'mtu' cannot be changed while the node runs; restart it instead",
        "line 2: expected key=value",
    )


def test_an_unknown_log_level_is_reported_and_changes_nothing() -> None:
    request = parse_reload_file("log-level=loud")

    assert request.log_level is None
    assert request.problems and "loud" in request.problems[0]


def test_another_file_by_mistake_gives_a_screen_of_problems_and_no_more() -> None:
    problems = parse_reload_file("nonsense\n" * 5000 + f"log-level={'x' * 5000}").problems
    assert len(problems) == PROBLEMS_MAX + 1
    assert problems[-1] == "and 4981 more; is this the right file?"

    (problem,) = parse_reload_file(f"log-level={'x' * 5000}").problems
    assert len(problem) < 400


@given(st.text())
def test_no_text_makes_the_parser_fail(text: str) -> None:
    parse_reload_file(text)
