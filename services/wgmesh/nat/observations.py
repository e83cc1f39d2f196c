"""Collects what the prober reports, and says it as one NAT report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from wgmesh.core.model import Endpoint, IPAddress, Mapping, NatReport
from wgmesh.core.stun_events import AnswerRefused, Event, MappingLearned, ServerSilent
from wgmesh.nat.classify import Observation, classify


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

    def clear(self) -> None:
        """Forgets what was learned about another port."""
        self._observations.clear()
        self._complaints.clear()

    def retain(self, servers: Collection[Endpoint]) -> None:
        """Forgets servers that are no longer asked."""
        self._observations = {server: seen for server, seen in self._observations.items() if server in servers}
        self._complaints = {server: text for server, text in self._complaints.items() if server in servers}

    def set_unresolved(self, names: Sequence[str]) -> None:
        """Takes the names of servers that have no address at present."""
        self._unresolved = tuple(names)

    def handle(self, event: Event) -> None:
        match event:
            case MappingLearned(server, mapped, at):
                self._observations[server] = Observation(server, mapped, at)
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
        found = classify(vantage.local_addresses, vantage.port, tuple(self._observations.values()))
        external = found.external
        if external is not None and not vantage.is_wireguard_port:
            external = Endpoint(external.host, vantage.wireguard_port)
        return NatReport(
            enabled=True,
            mapping=found.mapping,
            external_endpoint=external,
            from_wireguard_port=external is not None and vantage.is_wireguard_port,
            answered_at=max((observation.at for observation in self._observations.values()), default=None),
            detail=self._detail(found.mapping, vantage),
        )

    def _detail(self, mapping: Mapping, vantage: Vantage) -> str:
        troubles = [f"{server} {complaint}" for server, complaint in self._complaints.items()]
        troubles += [f"{name} has no address" for name in self._unresolved]
        if self._complaints and not vantage.local_addresses:
            return "STUN: this machine has no route to any server."
        if troubles:
            return "STUN: " + ", ".join(sorted(troubles)) + "."
        if mapping is Mapping.UNKNOWN and self._observations:
            return "STUN: one server alone cannot tell the kind of NAT; name a second one with another address."
        return ""
