"""The composition root of the discovery service."""

from __future__ import annotations

import asyncio
from contextlib import closing

from wgmesh.client.wireguard import WireGuardClient
from wgmesh.core.addressing import mesh_ipv4_network
from wgmesh.core.keyschedule import derive
from wgmesh.discovery.address_rules import AddressRules
from wgmesh.discovery.io.agreeing import Agreeing
from wgmesh.discovery.io.banning import Banning
from wgmesh.discovery.io.cache_store import CacheStore
from wgmesh.discovery.io.denylist_store import DenyListStore
from wgmesh.discovery.io.instruments import Instruments
from wgmesh.discovery.io.interfaces import follow_links
from wgmesh.discovery.io.static_peers import StaticPeers, parse_static_peer
from wgmesh.discovery.io.station import Station
from wgmesh.discovery.servicer import SERVICE_NAME, DiscoveryServicer
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.runtime import telemetry
from wgmesh.runtime.service import Shell
from wgmesh.v1.discovery_service_pb2_grpc import add_DiscoveryServiceServicer_to_server


async def main(shell: Shell, settings: DiscoverySettings) -> None:
    """Serves until asked to stop, then says goodbye. Raises InvalidSetting for a bad static peer."""
    named = [parse_static_peer(text) for text in settings.static_peers]
    instruments = Instruments(telemetry.meter("wgmesh.discovery"), telemetry.tracer("wgmesh.discovery"))
    wireguard = WireGuardClient(shell.settings.socket_path("wireguard"), telemetry.client_interceptors())
    agreeing = Agreeing(wireguard, shell.log)
    station = Station(settings, shell.log, instruments, agreeing.want)
    store = CacheStore(settings.cache_path, shell.log)
    banning = Banning(station, DenyListStore(settings.denylist_path, shell.log), shell.log)
    stun = StaticPeers([parse_static_peer(text) for text in settings.stun_servers], station.set_stun_servers)
    static = StaticPeers(named, lambda addresses: station.set_static(addresses, static.failures))
    servicer = DiscoveryServicer(station, banning)
    with closing(station):
        async with (
            wireguard,
            shell.serve(lambda server: add_DiscoveryServiceServicer_to_server(servicer, server), [SERVICE_NAME]),
            asyncio.TaskGroup() as tasks,
        ):
            work = [
                tasks.create_task(follow_links(station.set_links, station.set_links_unknown)),
                tasks.create_task(station.keep_cache(store)),
                tasks.create_task(static.run()),
                tasks.create_task(stun.run()),
                tasks.create_task(agreeing.run(station.set_pair_keys)),
            ]
            if settings.uses_mainline:
                work.append(tasks.create_task(_run_mainline(shell, settings, station)))
            if settings.private_dht:
                work.append(tasks.create_task(_run_private(shell, settings, station)))
            await shell.stopping.wait()
            station.close()
            await station.save_cache(store)
            for task in work:
                task.cancel()


async def _run_mainline(shell: Shell, settings: DiscoverySettings, station: Station) -> None:
    """Keeps a session in the Mainline DHT until cancelled."""
    from wgmesh.discovery.io.mainline_runner import MainlineRunner  # libtorrent only where it is used

    port = derive(settings.secret).dht_port
    bootstrap, nodes = settings.dht_bootstrap, settings.dht_nodes_path
    with closing(MainlineRunner(port, bootstrap, nodes, shell.log, station.handle_mainline)) as runner:
        station.on_dht_request = runner.ask
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(runner.run())
                async for hosts in station.hosts.watch():
                    runner.listen(hosts)
        finally:
            await runner.save()


async def _run_private(shell: Shell, settings: DiscoverySettings, station: Station) -> None:
    """Keeps a node in the private DHT until cancelled."""
    from wgmesh.discovery.io.private_runner import PrivateRunner  # kademlia only where it is used

    keys = derive(settings.secret)
    runner = PrivateRunner(
        keys.private_dht_key,
        station.judge_private,
        AddressRules((mesh_ipv4_network(keys, settings.mesh_subnet), keys.ipv6_network), settings.ipv6),
        settings.private_nodes_path,
        shell.log,
        station.note_private_nodes,
        station.take_private,
    )
    station.on_dht_request = runner.ask
    await runner.run(keys.dht_port, settings.private_dht)
