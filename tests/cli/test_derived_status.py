"""`status` with a secret: upstream's layout and members, checked against upstream's own values for this secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.command_line import GOOD_SECRET, Run
from wgmesh.cli import exits
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret

KEYS = derive(Secret.parse(GOOD_SECRET))


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{GOOD_SECRET}\n")
    path.chmod(0o600)
    return path


def test_the_text_has_upstreams_layout(wgmesh: Run, secret_file: Path) -> None:
    outcome = wgmesh("status", "--secret-file", secret_file)

    assert (
        outcome.out
        == f"""\
Mesh Status
===========
Interface: wg0
Network ID: {KEYS.network_id[:8].hex()}
Mesh Subnet: {KEYS.default_ipv4_network}
Mesh IPv6 Prefix: {KEYS.ipv6_network}
Gossip Port: {KEYS.gossip_port}
Rendezvous ID: {KEYS.rendezvous_id.hex()}

Service Status: inactive

(Run 'wg show' to see connected peers)
"""
    )
    assert outcome.err == ""


def test_the_json_has_upstreams_members_in_its_order(wgmesh: Run, secret_file: Path) -> None:
    outcome = wgmesh("status", "--secret-file", secret_file, "--json", "--mesh-subnet", "10.9.8.7/16", "-i", "mesh0")

    assert list(outcome.json) == [
        *("interface", "network_id", "mesh_subnet", "mesh_ipv6_prefix", "gossip_port", "rendezvous_id"),
        "service_status",
    ]
    assert outcome.json["mesh_subnet"] == "10.9.0.0/16 (custom)"
    assert outcome.json["interface"] == "mesh0"
    assert outcome.out.startswith('{\n  "interface"')


def test_a_secret_in_an_argument_works_with_a_warning(wgmesh: Run) -> None:
    outcome = wgmesh("status", "--secret", GOOD_SECRET, "--json")

    assert outcome.code == exits.OK
    assert "can be seen by every user" in outcome.err
    assert outcome.json["gossip_port"] == KEYS.gossip_port


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--secret", "short"), "the secret has 5 bytes, 16 are needed"),
        (("--secret", "wgmesh://v1/short"), "16 are needed"),
        (("--secret", GOOD_SECRET, "--mesh-subnet", "10.0.0.0/31"), "--mesh-subnet: 10.0.0.0/31 is too small"),
        (("--secret", GOOD_SECRET, "--interface", "0bad name"), "must start with a letter"),
        (("--secret-file", "/nonexistent"), "--secret-file: /nonexistent cannot be read: No such file"),
        (("--mesh-subnet", "10.0.0.0/16"), "--mesh-subnet needs --secret"),
    ],
)
def test_bad_input_ends_with_2_and_one_sentence(wgmesh: Run, words: tuple[str, ...], problem: str) -> None:
    outcome = wgmesh("status", *words)

    assert outcome.code == exits.USAGE
    assert problem in outcome.err
    assert outcome.out == ""
    assert GOOD_SECRET not in outcome.err
