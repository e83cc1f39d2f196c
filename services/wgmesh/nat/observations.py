"""Collects what the prober reports, and says it as one NAT report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from wgmesh.core.model import Endpoint, IPAddress, Mapping, NatReport, Sighting
from wgmesh.core.stun.events import AnswerRefused, Event, MappingLearned, ServerSilent
from wgmesh.nat.classify import Classification, Observation, classify


@dataclass(frozen=True, slots=True)
class Vantage:
    """The port that asks: WireGuard's own, or one beside it where raw sockets are not permitted.

    `local_addresses` are those from which the servers are reached.
    """

    local_addresses: frozenset[IPAddress]
    port: int
    wireguard_port: int

    @property
    def is_wireguard_port(self) -> bool:
        return self.port == self.wireguard_port


class ObservationTable:
    """The newest observation and the newest complaint of each server."""

    def __init__(self) -> None:
        self._observations: dict[Endpoint, Observation] = {}
        self._complaints: dict[Endpoint, str] = {}
        self._unresolved: tuple[str, ...] = ()
        self._asked: frozenset[Endpoint] = frozenset()
        self._peers: Counter[IPAddress] = Counter()

    def set_peers(self, seen_at: Iterable[Endpoint]) -> None:
        """Takes where peers see this host, once for each peer. They see another port, so only the address counts."""
        self._peers = Counter(endpoint.host for endpoint in seen_at)

    def clear(self) -> None:
        """Forgets what was learned about another port."""
        self._observations.clear()
        self._complaints.clear()

    def retain(self, servers: Collection[Endpoint]) -> None:
        """Takes the servers that are asked from now on, and forgets those that no longer are."""
        self._asked = frozenset(servers)
        self._observations = {server: seen for server, seen in self._observations.items() if server in servers}
        self._complaints = {server: text for server, text in self._complaints.items() if server in servers}

    def set_unresolved(self, names: Sequence[str]) -> None:
        """Takes the names of servers that have no address at present."""
        self._unresolved = tuple(names)

    def handle(self, event: Event) -> None:
        match event:
            case MappingLearned(server, mapped, at):
                before = self._observations.get(server)
                since = before.since if before is not None and before.mapped == mapped else at
                self._observations[server] = Observation(server, mapped, at, since=since)
                self._complaints.pop(server, None)
            case ServerSilent(server):
                self._complaints[server] = "does not answer"
            case AnswerRefused(server, reason):
                self._complaints[server] = f"is not believed: {reason}"

    def report(self, vantage: Vantage) -> NatReport:
        """Returns what is known, seen from that port.

        Beside WireGuard's own port only the external address is sure; the report then assumes, as upstream does, that
        the NAT keeps the port number, and says so by `from_wireguard_port`.
        """
        seen = tuple(self._observations.values())
        found = classify(vantage.local_addresses, vantage.port, seen, self._peers)
        if not vantage.is_wireguard_port:
            found = _assumed(found, vantage.wireguard_port)
        external = found.external
        return NatReport(
            enabled=True,
            mapping=found.mapping,
            external_endpoint=external,
            from_wireguard_port=external is not None and vantage.is_wireguard_port,
            answered_at=max((observation.at for observation in self._observations.values()), default=None),
            detail=self._detail(found, vantage),
            sightings=found.sightings,
        )

    def _detail(self, found: Classification, vantage: Vantage) -> str:
        troubles = [f"{server} {complaint}" for server, complaint in self._complaints.items()]
        troubles += [f"{name} has no address" for name in self._unresolved]
        if self._complaints and not vantage.local_addresses:
            return "STUN: this machine has no route to any server."
        if len({sighting.endpoint.host for sighting in found.sightings}) > 1:
            return "STUN servers disagree: " + ", ".join(map(_testimony, found.sightings)) + "."
        if troubles:
            return "STUN: " + ", ".join(sorted(troubles)) + "."
        all_answered = self._asked <= self._observations.keys()  # the second one may be on its way
        if found.mapping is Mapping.UNKNOWN and self._observations and all_answered:
            return "STUN: one server alone cannot tell the kind of NAT; name a second one with another address."
        return ""


def _assumed(found: Classification, port: int) -> Classification:
    """The same with another port, which no server has seen: only the addresses can still differ."""
    merged: dict[Endpoint, Sighting] = {}
    for sighting in found.sightings:
        endpoint = Endpoint(sighting.endpoint.host, port)
        before = merged.get(endpoint)
        servers = sighting.servers if before is None else tuple(sorted({*before.servers, *sighting.servers}, key=str))
        merged[endpoint] = Sighting(endpoint, servers, sighting.peers)
    external = next(iter(merged)) if len(merged) == 1 else None
    if found.external is not None:
        external = Endpoint(found.external.host, port)
    return replace(found, external=external, sightings=tuple(merged.values()))


def _testimony(sighting: Sighting) -> str:
    servers = " and ".join(map(str, sighting.servers))
    says = "says" if len(sighting.servers) == 1 else "say"
    seen = {0: "", 1: " (one peer sees us there)"}.get(sighting.peers, f" ({sighting.peers} peers see us there)")
    return f"{servers} {says} {sighting.endpoint}{seen}"
