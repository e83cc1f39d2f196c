"""`wgmesh netcheck` against a node service on a real socket, and its words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from support.command_line import Run
from support.doubles.fake_node import FakeNode, served
from wgmesh.cli import exits
from wgmesh.cli.netcheck_text import SUBJECTS, CheckText
from wgmesh.core.errors import Busy, NotSupported
from wgmesh.v1 import endpoint_pb2
from wgmesh.v1.nat_service_pb2 import NetworkEvidence, NetworkFinding

SERVERS = [endpoint_pb2.Endpoint(host=host, port=3478) for host in ("203.0.113.1", "203.0.113.2")]
OUTSIDE = endpoint_pb2.Endpoint(host="198.51.100.7", port=40000)
ANSWERED_AT = Timestamp(seconds=1_700_000_000)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    fake = FakeNode()
    with served(fake, tmp_path / "run" / "wg7" / "node.sock"):
        yield fake


def seen(port: int, server: endpoint_pb2.Endpoint, outside: endpoint_pb2.Endpoint = OUTSIDE) -> NetworkEvidence:
    return NetworkEvidence(server=server, local_port=port, seen_endpoint=outside, answer_time=ANSWERED_AT)


def answered() -> NetworkFinding:
    return NetworkFinding(subject="udp", value="answered", evidence=[seen(0, server) for server in SERVERS])


def mapping(value: str, detail: str = "") -> NetworkFinding:
    evidence = [seen(51820, server) for server in SERVERS]
    return NetworkFinding(
        subject="mapping", value=value, detail=detail, evidence=evidence, external_endpoint=OUTSIDE if value else None
    )


def silent() -> NetworkFinding:
    evidence = [NetworkEvidence(server=server, note="does not answer") for server in SERVERS]
    return NetworkFinding(subject="udp", value="silent", detail="nothing came back", evidence=evidence)


def test_the_verdict_comes_first_then_each_finding_with_who_saw_what(wgmesh: Run, node: FakeNode) -> None:
    ports = [seen(33000 + n, SERVERS[0], endpoint_pb2.Endpoint(host=OUTSIDE.host, port=40001 + n)) for n in range(3)]
    node.findings = [
        answered(),
        mapping("endpoint-independent"),
        NetworkFinding(subject="ports", value="sequential", port_step=1, evidence=ports),
        NetworkFinding(subject="ipv6", value="no-address", detail="this host has no global address"),
    ]

    outcome = wgmesh("netcheck")

    assert (outcome.code, outcome.err) == (exits.OK, "")
    lines = outcome.out.splitlines()
    assert lines[0] == (
        "Your NAT keeps one port for all destinations: endpoint-independent (cone) mapping. "
        "Other nodes can reach this one directly in most cases."
    )
    rows = [line.split() for line in lines]
    assert ["FINDING", "RESULT", "SERVER", "EVIDENCE", "AGE"] in rows
    shown = outcome.out
    assert "mapping   endpoint-independent 203.0.113.1:3478 port 51820 as 198.51.100.7:40000" in shown
    assert "port 33000 as 198.51.100.7:40001, port 33001 as :40002, port 33002 as :40003" in shown
    assert "sequential, by 1" in shown
    assert "ipv6: this host has no global address." in shown


def test_json_has_the_same_keys_whatever_was_found(wgmesh: Run, node: FakeNode) -> None:
    node.findings = [answered(), mapping("address-dependent")]

    value = wgmesh("netcheck", "--json").json

    assert list(value) == ["verdict", "external_endpoint", "findings", "advice"]
    assert list(value["findings"]) == list(SUBJECTS)
    assert value["external_endpoint"] == "198.51.100.7:40000"
    assert value["findings"]["hairpin"] == {"value": "unknown", "detail": "", "evidence": []}
    assert value["findings"]["ports"]["step"] is None
    assert value["findings"]["mapping"]["evidence"][0] == {
        "server": "203.0.113.1:3478",
        "local_port": 51820,
        "seen": "198.51.100.7:40000",
        "note": "",
        "answered": "2023-11-14T22:13:20Z",
    }
    assert value["advice"] == ["Forward UDP port 51820 of the router to this host: then nodes behind any NAT reach it."]


def test_where_no_server_answered_it_ends_with_1_and_names_those_that_were_asked(wgmesh: Run, node: FakeNode) -> None:
    node.findings = [silent()]

    outcome, value = wgmesh("netcheck"), wgmesh("netcheck", "--json")

    assert (outcome.code, value.code) == (exits.FAILED, exits.FAILED)
    verdict = outcome.out.splitlines()[0]
    assert verdict == value.json["verdict"]
    assert verdict == (
        "No STUN server answered: UDP to the outside seems to be blocked. Asked: 203.0.113.1:3478, 203.0.113.2:3478."
    )
    assert "Let UDP out" in outcome.out


@pytest.mark.parametrize("value", ["unroutable", "unresolved", "refused"])
def test_what_could_not_be_asked_is_not_called_blocked(value: str) -> None:
    text = CheckText([NetworkFinding(subject="udp", value=value)])

    assert not text.is_answered
    assert "blocked" not in text.verdict()


def test_servers_that_disagree_are_shown_and_more_of_them_are_advised(wgmesh: Run, node: FakeNode) -> None:
    node.findings = [answered(), mapping("unknown", "servers disagree: a says b, c says d")]

    outcome = wgmesh("netcheck")

    assert outcome.code == exits.OK
    assert "not certain: servers disagree: a says b, c says d." in outcome.out.splitlines()[0]
    assert "`wgmesh join --stun HOST:PORT` may be repeated" in outcome.out


def test_what_a_newer_node_says_is_shown_and_steers_no_terminal(wgmesh: Run, node: FakeNode) -> None:
    node.findings = [answered(), NetworkFinding(subject="filtering", value="odd\x1b[2J {step}", detail="why\nnot")]

    outcome = wgmesh("netcheck")

    assert outcome.code == exits.OK
    assert "\x1b" not in outcome.out
    assert "filtering: why\N{REPLACEMENT CHARACTER}not." in outcome.out


@pytest.mark.parametrize("error", [Busy("A check runs already."), NotSupported("STUN is switched off.")])
def test_a_node_that_cannot_check_says_why_and_ends_it_with_1(
    wgmesh: Run, node: FakeNode, error: Busy | NotSupported
) -> None:
    node.error = error

    outcome = wgmesh("netcheck", "--json")

    assert (outcome.code, outcome.json["error"]["kind"]) == (exits.FAILED, type(error).__name__)


def test_without_a_node_it_ends_with_3(wgmesh: Run, tmp_path: Path) -> None:
    assert wgmesh("netcheck", "--runtime-dir", str(tmp_path)).code == exits.NOT_RUNNING
