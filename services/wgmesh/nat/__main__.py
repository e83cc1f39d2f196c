"""The composition root of the nat service."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace

from wgmesh.client.discovery import DiscoveryClient
from wgmesh.core.model import Endpoint, Mapping, NatReport, PathsSnapshot, PeersSnapshot, PortMapping, PublicKey
from wgmesh.core.steady import Steady
from wgmesh.nat.io.instruments import PathInstruments, rtt_histogram
from wgmesh.nat.io.network_checks import NetworkChecks
from wgmesh.nat.io.opener_socket import OpenerSocket
from wgmesh.nat.io.peer_pings import PeerPings, PingOutcome
from wgmesh.nat.io.probe_client import ProbeClient
from wgmesh.nat.io.probe_server import ProbeServer
from wgmesh.nat.io.stun_session import StunSession
from wgmesh.nat.paths import PathTable
from wgmesh.nat.portmapping.io.session import PortMappingSession
from wgmesh.nat.portmapping.report import NO_STUN
from wgmesh.nat.servicer import SERVICE_NAME, NatServicer
from wgmesh.nat.settings import NatSettings
from wgmesh.nat.tunnel_probe import targets
from wgmesh.runtime import telemetry
from wgmesh.runtime.clock import CLOCK
from wgmesh.runtime.service import Shell
from wgmesh.runtime.snapshots import SnapshotCell
from wgmesh.v1.nat_service_pb2_grpc import add_NatServiceServicer_to_server

VERDICT_SETTLE_S = 5.0  # a server that lost four requests answers 7.5 s later than the other, mostly both at once
VERDICT_GAP_S = 60.0  # one round of questions

Verdict = tuple[Mapping, Endpoint | None]


async def main(shell: Shell, settings: NatSettings) -> None:
    """Serves until asked to stop."""
    reach = Reach(shell, settings)
    servicer = NatServicer(reach.snapshots, reach.ping, reach.checks.run)
    async with (
        shell.serve(lambda server: add_NatServiceServicer_to_server(servicer, server), [SERVICE_NAME]),
        DiscoveryClient(shell.settings.socket_path("discovery"), telemetry.client_interceptors()) as discovery,
        asyncio.TaskGroup() as tasks,
    ):
        running = tasks.create_task(reach.run(discovery))
        await shell.stopping.wait()
        await reach.stop()
        running.cancel()


class Reach:
    """Wires peers from discovery to the probes, and what the probes and STUN find to the published snapshot."""

    def __init__(self, shell: Shell, settings: NatSettings) -> None:
        interface = shell.settings.interface
        self._settings = settings
        self._log = shell.log
        self._table = PathTable()
        self.snapshots = SnapshotCell(self._table.published)
        none_yet: Verdict = (self._table.published.report.mapping, None)
        self._verdict = Steady(none_yet, VERDICT_SETTLE_S, VERDICT_GAP_S)
        self._report_changed = asyncio.Event()
        self._instruments = PathInstruments(
            telemetry.meter("wgmesh.nat"),
            telemetry.tracer("wgmesh.nat"),
            rtt_histogram(),
            lambda: self._table.published.report,
        )
        self._server = ProbeServer(interface, settings.probe_port, on_links_changed=self._on_links_changed)
        self._client = ProbeClient(
            interface,
            settings.probe_port,
            on_asked=self._instruments.asked,
            on_answered=self._on_answered,
            on_unanswered=self._on_unanswered,
        )
        self._pings = PeerPings(interface, settings.probe_port)
        self._stun = StunSession(settings.stun_servers, self._on_report, ipv6=settings.ipv6) if settings.stun else None
        self.checks = NetworkChecks(self._stun, ipv6=settings.ipv6)
        self._seen = NatReport(enabled=settings.stun)  # as STUN says it
        self._port_mapping: PortMappingSession | None = None
        if settings.port_mapping and settings.stun:
            self._port_mapping = PortMappingSession(settings.mesh_networks, lambda _: self._publish_report())
        self._openers = OpenerSocket(self._instruments.opened, ipv6=settings.ipv6)

    async def run(self, discovery: DiscoveryClient) -> None:
        """Runs until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._server.run())
                tasks.create_task(self._client.run())
                if self._stun is not None:
                    tasks.create_task(self._stun.run())
                    tasks.create_task(self._say_verdicts())
                if self._port_mapping is not None:
                    tasks.create_task(self._port_mapping.run())
                self._publish_report()
                if self._stun is not None and self._settings.punching:
                    tasks.create_task(self._openers.run())
                async for snapshot in discovery.watch_peers():
                    self._on_peers(snapshot)
        finally:
            self._instruments.close()

    def _on_peers(self, snapshot: PeersSnapshot) -> None:
        own = snapshot.description
        wanted = targets(own, snapshot.peers, ipv6=self._settings.ipv6)
        self._server.set_peers(
            {address for peer in snapshot.peers for address in (peer.mesh_ipv4, peer.mesh_ipv6) if address is not None}
        )
        if own is not None:
            self._server.set_addresses({own.mesh_ipv4, own.mesh_ipv6} if self._settings.ipv6 else {own.mesh_ipv4})
            if self._stun is not None:
                self._stun.use_peers(snapshot.observed_endpoints)
                self._stun.use_port(own.wireguard_port)
            if self._port_mapping is not None:
                self._port_mapping.use_ports(own.wireguard_port, snapshot.exchange_port)
        keys = {target.public_key for target in wanted}
        self._instruments.retain(keys)
        self._publish(self._table.set_peers(keys))
        self._client.set_targets(wanted)
        self._pings.set_targets(wanted)
        self._openers.set_peers(snapshot)

    async def ping(self, key: PublicKey, address: str, timeout_s: float) -> PingOutcome:
        """Pings a peer for somebody who asks. An answer is a proof as that of a probe is. Raises NotFound, NotReady."""
        outcome = await self._pings.ping(key, address, timeout_s)
        if outcome.rtt_s is not None:
            self._on_answered(key, outcome.rtt_s)
        return outcome

    def _on_answered(self, key: PublicKey, rtt_s: float) -> None:
        self._instruments.answered(key, rtt_s)
        self._publish(self._table.answered(key, rtt_s, CLOCK.now()))

    def _on_unanswered(self, key: PublicKey) -> None:
        self._publish(self._table.unanswered(key))

    def _on_report(self, report: NatReport) -> None:
        self._verdict.note((report.mapping, report.external_endpoint), time.monotonic())
        self._report_changed.set()
        self._seen = report
        self._openers.set_report(report)
        if self._port_mapping is not None:
            self._port_mapping.use_report(report)
        self._publish_report()

    def _publish_report(self) -> None:
        """Publishes what STUN and the router say together."""
        if self._port_mapping is not None:
            mapping = self._port_mapping.told
        else:
            mapping = PortMapping(self._settings.port_mapping, detail=NO_STUN if self._settings.port_mapping else "")
        self._publish(self._table.set_report(replace(self._seen, port_mapping=mapping)))

    def _on_links_changed(self) -> None:
        self._client.hurry()
        if self._port_mapping is not None:
            self._port_mapping.look()

    async def stop(self) -> None:
        """Takes back what the router forwards to us."""
        if self._port_mapping is not None:
            await self._port_mapping.stop()

    async def _say_verdicts(self) -> None:
        """Says how the world sees this host once that is settled: servers answer one by one, and may differ."""
        while True:
            due_at = self._verdict.due_at()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due_at is None else max(0.0, due_at - time.monotonic())):
                    await self._report_changed.wait()
            self._report_changed.clear()
            if self._verdict.take(time.monotonic()) is not None:
                report = self._table.published.report
                seen = [str(sighting.endpoint) for sighting in report.sightings]
                endpoint = str(report.external_endpoint or "")
                self._log.info("nat report changed", mapping=report.mapping, endpoint=endpoint, seen=seen)

    def _publish(self, snapshot: PathsSnapshot | None) -> None:
        if snapshot is not None:
            self.snapshots.publish(snapshot)
