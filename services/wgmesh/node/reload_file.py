"""The file `<state-dir>/<interface>.reload`: what may change while the node runs (upstream's format).

Lines are `key=value`; blank lines and lines that start with `#` are skipped; keys ignore case. Of several equal keys
the last counts.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from wgmesh.core.model import IPNetwork
from wgmesh.core.wire.announcement_room import networks_problem

PROBLEMS_MAX = 20  # a screen
PROBLEM_CHARACTERS_MAX = 300
LOG_LEVELS = ("debug", "info", "warn", "warning", "error")


@dataclass(frozen=True, slots=True)
class ReloadRequest:
    """What the file asks for; None means unchanged. Where there are `problems`, it asks for nothing."""

    advertise_routes: tuple[IPNetwork, ...] | None = None
    log_level: str | None = None
    problems: tuple[str, ...] = ()


def parse_reload_file(text: str, hostname: str = "") -> ReloadRequest:
    """Parses the file. Never raises: of a file with a mistake nothing counts, and each mistake is told by line and key.

    Half of a file would be a state that nobody has asked for. `hostname` is the node's, since it takes room in an
    announcement: networks that do not fit beside it are a mistake too.
    """
    routes: tuple[IPNetwork, ...] | None = None
    level: str | None = None
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = (part.strip() for part in stripped.partition("="))
        match key.lower() if equals else None:
            case None:
                problems.append(f"line {number}: {stripped!r} is not key=value")
            case "advertise-routes":
                networks, bad = _networks(value)
                if problem := networks_problem(networks, hostname):
                    bad.append(problem)
                else:
                    routes = networks
                problems += [f"line {number}: advertise-routes: {problem}" for problem in bad]
            case "log-level" if value.lower() in LOG_LEVELS:
                level = value.lower()
            case "log-level" if not value:
                pass
            case "log-level":
                problems.append(f"line {number}: log-level: {value!r} is none of {', '.join(LOG_LEVELS)}")
            case _:
                problems.append(f"line {number}: {key!r} cannot be changed while the node runs; restart it instead")
    return ReloadRequest(problems=_bounded(problems)) if problems else ReloadRequest(routes, level)


def _bounded(problems: list[str]) -> tuple[str, ...]:
    """The first problems, each of a few lines: another file by mistake may have thousands, and values of a page."""
    told = [
        each if len(each) <= PROBLEM_CHARACTERS_MAX else f"{each[:PROBLEM_CHARACTERS_MAX]} ..." for each in problems
    ]
    if len(told) <= PROBLEMS_MAX:
        return tuple(told)
    return (*told[:PROBLEMS_MAX], f"and {len(told) - PROBLEMS_MAX} more; is this the right file?")


def _networks(value: str) -> tuple[tuple[IPNetwork, ...], list[str]]:
    networks: dict[IPNetwork, None] = {}
    bad: list[str] = []
    for text in filter(None, (part.strip() for part in value.split(","))):
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            bad.append(f"{text!r} is not a network in CIDR form")
            continue
        if "%" in text:
            bad.append(f"{text!r} names an interface of this machine, which means nothing to others")
            continue
        if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
            bad.append(f"{text} is IPv4 in IPv6's form; write it as IPv4")  # others would read another network
            continue
        if network.prefixlen == 0:
            bad.append(f"{text} is a default route, which is never advertised")
            continue
        networks[network] = None
    return tuple(networks), bad
