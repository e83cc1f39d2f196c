"""Gives the mapper its sockets, its router and its wish, and tells what came of it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from wgmesh.core.model import Endpoint, IPNetwork, NatReport, PortMapping
from wgmesh.nat.io.raw_stun import source_address
from wgmesh.nat.portmapping import pcp
from wgmesh.nat.portmapping.external import problem_with
from wgmesh.nat.portmapping.io.fetching import fetched
from wgmesh.nat.portmapping.mapper import ANNOUNCEMENTS, ROUTER, Changed, FetchWanted, Mapper, Wanted
from wgmesh.nat.portmapping.report import NO_GATEWAY, NOT_BEHIND_NAT, port_mapping
from wgmesh.nat.portmapping.site import default_gateway, is_behind_nat, is_private
from wgmesh.nat.portmapping.steps import Protocol, Site
from wgmesh.runtime import logs
from wgmesh.runtime.datagram import DatagramDriver

ALL_HOSTS = "224.0.0.1"  # where a router says that it has started again
MULTICAST_TTL = 2  # UPnP Device Architecture 1.1, section 1.3.2
RELEASE_WITHIN_S = 2.5  # a stop waits so long for the router; what is not taken back then ends with its lifetime
FETCHES_MAX = 4  # one is open; more were given up
ROUTES = Path("/proc/net/route")
# Drawn before the fork: the router knows a process that was started again by the nonces that follow from it.
SEED = os.urandom(16)


class PortMappingSession:
    """Asks the router once STUN says that we are behind a NAT; `publish` is given what is known at each change."""

    def __init__(self, mesh_networks: Sequence[IPNetwork], publish: Callable[[PortMapping], None]) -> None:
        self._publish = publish
        self._log = logs.logger()
        self._mapper = Mapper(SEED, partial(problem_with, mesh_networks=mesh_networks))
        self._driver: DatagramDriver[FetchWanted | Changed] | None = None
        self._fetches: asyncio.Queue[FetchWanted] = asyncio.Queue(FETCHES_MAX)
        self._quiet = asyncio.Event()
        self._ports: tuple[int, ...] = ()
        self._report = NatReport()
        self._is_behind_nat = False
        self._wanted: Wanted | None = None
        self._told = PortMapping(enabled=True, detail=NOT_BEHIND_NAT)
        self._is_stopping = False

    @property
    def told(self) -> PortMapping:
        """What was published last."""
        return self._told

    def use_ports(self, wireguard_port: int, exchange_port: int) -> None:
        """Has these forwarded from now on; 0 means not known yet."""
        ports = tuple(dict.fromkeys(port for port in (wireguard_port, exchange_port) if port)) if wireguard_port else ()
        if ports != self._ports:
            self._ports = ports
            self.look()

    def use_report(self, report: NatReport) -> None:
        """Takes what STUN says."""
        self._report = report
        self.look()

    def look(self) -> None:
        """Looks for the router again: the host's addresses may have changed, or what STUN says."""
        if self._is_stopping:
            return
        self._is_behind_nat = is_behind_nat(self._report, self._is_behind_nat)
        site = _site() if self._is_behind_nat and self._ports else None
        self._want(None if site is None else Wanted(site, self._ports))

    async def run(self) -> None:
        """Carries out fetches until cancelled."""
        try:
            while True:
                wanted = await self._fetches.get()
                data = await fetched(wanted.fetch)
                if self._driver is not None:
                    self._mapper.handle_fetched(wanted.number, data, self._driver.now())
                    self._driver.pump()
                    self._note_quiet()
        finally:
            self._close()

    async def stop(self) -> None:
        """Takes the mappings back, as long as the router answers soon. `run` must still be running."""
        self._is_stopping = True
        self._want(None)
        self._note_quiet()
        if self._driver is not None:
            try:
                async with asyncio.timeout(RELEASE_WITHIN_S):
                    await self._quiet.wait()
            except TimeoutError:
                self._log.warning("port mapping not taken back", reason="the router does not answer")

    def _want(self, wanted: Wanted | None) -> None:
        if wanted != self._wanted:
            site = None if wanted is None else wanted.site
            if site is not None and (self._wanted is None or site != self._wanted.site or self._driver is None):
                self._close()
                if not self._open(site):
                    wanted = None
            self._wanted = wanted
            if self._driver is not None:
                self._mapper.want(wanted, self._driver.now())
                self._driver.pump()
                self._note_quiet()
        self._tell()

    def _open(self, site: Site) -> bool:
        try:
            self._driver = DatagramDriver(self._mapper, {ROUTER: _router_socket(site.own)}, self._on_event)
        except OSError as error:
            self._log.warning("port mapping cannot ask", reason=error.strerror)
        return self._driver is not None

    def _close(self) -> None:
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def _on_event(self, event: FetchWanted | Changed) -> None:
        if isinstance(event, FetchWanted):
            if not self._fetches.full():
                self._fetches.put_nowait(event)
        else:
            self._follow_announcements()
            self._tell()
        self._note_quiet()

    def _follow_announcements(self) -> None:
        """Listens for a router that starts again, while it holds a mapping that it might lose so."""
        if self._driver is None:
            return
        made = None if self._wanted is None else self._mapper.mapping(self._wanted.ports[0])
        if made is None or made.protocol is Protocol.UPNP:
            self._driver.remove_channel(ANNOUNCEMENTS)
        elif not self._driver.has_channel(ANNOUNCEMENTS):
            try:
                self._driver.add_channel(ANNOUNCEMENTS, _announcement_socket())
            except OSError as error:  # another program has the port to itself; the renewal finds out as well
                self._log.debug("announcements of the router are not heard", reason=error.strerror)

    def _note_quiet(self) -> None:
        if self._mapper.is_idle:
            self._quiet.set()
        else:
            self._quiet.clear()

    def _tell(self) -> None:
        if self._wanted is None:
            detail = NO_GATEWAY if self._is_behind_nat and self._ports else NOT_BEHIND_NAT
            told = PortMapping(enabled=True, detail=detail)
        else:
            told = port_mapping(self._mapper, self._wanted, self._report)
        if told != self._told:
            before, self._told = self._told, told
            self._say(before, told)
            self._publish(told)

    def _say(self, before: PortMapping, told: PortMapping) -> None:
        if told.external_endpoint is not None and told.external_endpoint != before.external_endpoint:
            self._log.info(
                "port mapping made",
                protocol=told.protocol,
                endpoint=str(told.external_endpoint),
                exchange=str(told.exchange_endpoint or ""),
                confirmed=told.is_confirmed,
            )
        elif told.external_endpoint is None and before.external_endpoint is not None:
            reason = "the node stops" if self._is_stopping else told.detail
            self._log.info("port mapping lost", endpoint=str(before.external_endpoint), reason=reason)


def _site() -> Site | None:
    """The router of the default route, and our address beside it, if both are private."""
    try:
        gateway = default_gateway(ROUTES.read_text())
        own = None if gateway is None else source_address(Endpoint(gateway, pcp.PORT))
    except OSError:  # no IPv4, or no route at present
        return None
    if gateway is None or not isinstance(own, IPv4Address) or not (is_private(gateway) and is_private(own)):
        return None
    return Site(gateway, own)


def _router_socket(own: IPv4Address) -> socket.socket:
    asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own.packed)
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, MULTICAST_TTL)
        asking.bind((str(own), 0))
    except OSError:
        asking.close()
        raise
    return asking


def _announcement_socket() -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ALL_HOSTS, pcp.ANNOUNCEMENT_PORT))
    except OSError:
        listening.close()
        raise
    return listening
