"""node/reload_file.py: what an operator wrote into the reload file."""

from __future__ import annotations

from collections.abc import Iterable

from support.vectors import load_vectors
from wgmesh.core.wire.announcement_room import fitting_count
from wgmesh.core.wire.wirefield import MAX_ROUTABLE_NETWORKS, parse_network
from wgmesh.node.reload_file import parse_reload_file

HOSTNAME = "machine"
WORDS = (
    b"advertise-routes=",
    b"log-level=",
    b"debug",
    b"10.0.0.0/8",
    b"::ffff:",
    b"fe80::%eth0/64",
    b"/255.0.0.0",
    b"#",
)


PROBLEMS_CHARACTERS_MAX = 8000  # twenty lines of 300


def seeds() -> Iterable[bytes]:
    yield b"advertise-routes=10.0.0.0/8, 2001:db8::/32\nlog-level=debug\n"
    yield b"# a comment\n\nADVERTISE-ROUTES =\nlog-level=loud\nsecret=x\nno equals sign"
    yield b"advertise-routes=0.0.0.0/0,::/0"
    yield b"x\n" * 1000
    yield b"log-level=" + b"x" * 9000
    for case in load_vectors("reload_file").get("cases", []):
        text = case.get("text") or case.get("content") or ""
        yield str(text).encode()


def check(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    asked = parse_reload_file(text, HOSTNAME)  # never raises
    routes = asked.advertise_routes or ()
    assert len(routes) <= MAX_ROUTABLE_NETWORKS
    assert fitting_count(routes, HOSTNAME) == len(routes)
    for network in routes:  # what we announce, every node must be able to read as the same network
        assert parse_network("network", str(network)) == network
    lines = "\n".join((f"advertise-routes={','.join(map(str, routes))}", f"log-level={asked.log_level or ''}"))
    again = parse_reload_file(lines, HOSTNAME)
    assert (again.advertise_routes, again.log_level, again.problems) == (routes, asked.log_level, ())
    assert all(problem.isprintable() for problem in asked.problems)
    assert sum(map(len, asked.problems)) < PROBLEMS_CHARACTERS_MAX
