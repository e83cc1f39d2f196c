"""Concludes from observations how the NAT maps the port (RFC 4787, section 4.1), and which endpoint to believe.

A STUN server may lie, and so may a member that says where it sees us. The kind: somebody who names another address than
ours displaces it, so that our peers call a stranger, or nobody. So every mapping is kept with who says it, and one is
*the* outside endpoint only

1. if nobody says otherwise, or
2. if more than half of the servers say it (servers at one address are one), or
3. if it is an address and port of this host itself, which somebody behind no NAT sees, or
4. if the servers are divided about the address, and at least two peers, and more than half of those that name one of
   these addresses, name its address. One lying member decides nothing.

Who comes last never wins for that. Where nothing decides there is no outside endpoint, and all of them are candidates.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Mapping as ReadMapping
from dataclasses import dataclass, field
from itertools import combinations

from wgmesh.core.model import Endpoint, IPAddress, Mapping, Sighting

SAME_MOMENT_S = 30.0  # four lost requests shift an answer by 7.5 s; a NAT keeps an idle UDP mapping at least this long
EVIDENCE_AGE_MAX_S = 180.0  # three rounds: one lost round does not throw away what was known
PEERS_TO_DECIDE = 2  # one alone may lie


@dataclass(frozen=True, slots=True)
class Observation:
    """`server` saw the port's datagrams come from `mapped` at time `at`, and has said so since `since`."""

    server: Endpoint
    mapped: Endpoint
    at: float
    since: float = field(default=0.0, kw_only=True)


@dataclass(frozen=True, slots=True)
class Classification:
    """A mapping behaviour, the outside endpoint if one can be believed, and what was seen, best witnessed first."""

    mapping: Mapping = Mapping.UNKNOWN
    external: Endpoint | None = None
    sightings: tuple[Sighting, ...] = ()


def classify(
    local_addresses: Collection[IPAddress],
    local_port: int,
    observations: Sequence[Observation],
    peers: ReadMapping[IPAddress, int] | None = None,
) -> Classification:
    """Returns what the observations of one local port prove together. `peers` counts who sees this host at an address.

    IPv4 decides if it was observed at all, since IPv6 is rarely translated. Nothing is concluded from one witness but
    that no NAT is there, and servers at one address are one witness: an address-dependent NAT shows them the same port.
    Agreement counts as long as the evidence is valid; disagreement only within one moment, because a NAT that has
    forgotten or renewed a mapping in between proves nothing about its behaviour. That a NAT is address-dependent is
    said only where all servers see one address: where they name several, one of them may lie.
    """
    if not observations:
        return Classification()
    usable = _usable(observations)
    sightings = _sightings(usable, peers or {})
    own = {Endpoint(address, local_port) for address in local_addresses}
    external = _believed(sightings, own)
    return Classification(_mapping(sightings, external, own, usable), external, sightings)


def _usable(observations: Sequence[Observation]) -> list[Observation]:
    ipv4 = [observation for observation in observations if observation.mapped.host.version == 4]
    family = ipv4 or list(observations)
    newest_at = max(observation.at for observation in family)
    return [observation for observation in family if newest_at - observation.at <= EVIDENCE_AGE_MAX_S]


def _sightings(usable: Sequence[Observation], peers: ReadMapping[IPAddress, int]) -> tuple[Sighting, ...]:
    by_mapped: dict[Endpoint, list[Observation]] = {}
    for observation in usable:
        by_mapped.setdefault(observation.mapped, []).append(observation)
    found = [
        Sighting(mapped, tuple(sorted({each.server for each in seen}, key=str)), peers.get(mapped.host, 0))
        for mapped, seen in by_mapped.items()
    ]
    since = {mapped: min(each.since for each in seen) for mapped, seen in by_mapped.items()}
    return tuple(
        sorted(found, key=lambda each: (-_weight(each), -each.peers, since[each.endpoint], str(each.endpoint)))
    )


def _weight(sighting: Sighting) -> int:
    return len({server.host for server in sighting.servers})


def _believed(sightings: Sequence[Sighting], own: Collection[Endpoint]) -> Endpoint | None:
    first = sightings[0]
    if 2 * _weight(first) > sum(map(_weight, sightings)):
        return first.endpoint
    for sighting in sightings:
        if sighting.endpoint in own:
            return sighting.endpoint
    said = {sighting.endpoint.host: sighting.peers for sighting in sightings}
    fitting = [sighting.endpoint for sighting in sightings if _peers_decide(said, sighting.endpoint.host)]
    return fitting[0] if len(fitting) == 1 else None  # several are ports of one address: peers see another port


def _peers_decide(said: ReadMapping[IPAddress, int], host: IPAddress) -> bool:
    return said[host] >= PEERS_TO_DECIDE and 2 * said[host] > sum(said.values())


def _mapping(
    sightings: Sequence[Sighting], external: Endpoint | None, own: Collection[Endpoint], usable: Sequence[Observation]
) -> Mapping:
    if external is None:
        is_one_address = len({sighting.endpoint.host for sighting in sightings}) == 1
        differ = any(_disagree(one, other) for one, other in combinations(usable, 2))
        return Mapping.ADDRESS_DEPENDENT if is_one_address and differ else Mapping.UNKNOWN
    if external in own:
        return Mapping.NONE
    agreeing = next(sighting for sighting in sightings if sighting.endpoint == external)
    return Mapping.ENDPOINT_INDEPENDENT if _weight(agreeing) > 1 else Mapping.UNKNOWN


def _disagree(one: Observation, other: Observation) -> bool:
    return one.mapped != other.mapped and abs(one.at - other.at) <= SAME_MOMENT_S
