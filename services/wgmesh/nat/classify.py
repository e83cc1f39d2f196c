"""Concludes from observations how the NAT maps the port (RFC 4787, section 4.1)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

from wgmesh.core.model import Endpoint, IPAddress, Mapping

SAME_MOMENT_S = 30.0  # four lost requests shift an answer by 7.5 s; a NAT keeps an idle UDP mapping at least this long
EVIDENCE_AGE_MAX_S = 180.0  # three rounds: one lost round does not throw away what was known


@dataclass(frozen=True, slots=True)
class Observation:
    """`server` saw the port's datagrams come from `mapped` at time `at`."""

    server: Endpoint
    mapped: Endpoint
    at: float


@dataclass(frozen=True, slots=True)
class Classification:
    """A mapping behaviour and the newest external endpoint.

    Where the mapping is address-dependent the endpoint's address is good and its port only what one server saw.
    """

    mapping: Mapping = Mapping.UNKNOWN
    external: Endpoint | None = None


def classify(
    local_addresses: Collection[IPAddress], local_port: int, observations: Sequence[Observation]
) -> Classification:
    """Returns what the observations of one local port prove together.

    IPv4 decides if it was observed at all, since IPv6 is rarely translated. Nothing is concluded from one witness but
    that no NAT is there, and servers at one address are one witness: an address-dependent NAT shows them the same port.
    Agreement counts as long as the evidence is valid; disagreement only within one moment, because a NAT that has
    forgotten or renewed a mapping in between proves nothing about its behaviour.
    """
    usable = _usable(observations)
    if not usable:
        return Classification()
    newest = max(usable, key=lambda observation: observation.at)
    return Classification(_mapping(local_addresses, local_port, usable, newest), newest.mapped)


def _usable(observations: Sequence[Observation]) -> list[Observation]:
    ipv4 = [observation for observation in observations if observation.mapped.host.version == 4]
    family = ipv4 or list(observations)
    newest_at = max((observation.at for observation in family), default=0.0)
    return [observation for observation in family if newest_at - observation.at <= EVIDENCE_AGE_MAX_S]


def _mapping(
    local_addresses: Collection[IPAddress], local_port: int, usable: Sequence[Observation], newest: Observation
) -> Mapping:
    if any(_disagree(one, other) for one, other in combinations(usable, 2)):
        return Mapping.ADDRESS_DEPENDENT
    agreeing = [observation for observation in usable if observation.mapped == newest.mapped]
    if newest.mapped.host in local_addresses and newest.mapped.port == local_port:
        return Mapping.NONE
    witnesses = {observation.server.host for observation in agreeing}
    return Mapping.ENDPOINT_INDEPENDENT if len(witnesses) > 1 else Mapping.UNKNOWN


def _disagree(one: Observation, other: Observation) -> bool:
    return one.mapped != other.mapped and abs(one.at - other.at) <= SAME_MOMENT_S
