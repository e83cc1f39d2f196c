"""The composition root of the discovery service."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing

from wgmesh.client.wireguard import WireGuardClient
from wgmesh.core.addressing import mesh_ipv4_network
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.node_cache import MAX_FILE_BYTES, decode_nodes
from wgmesh.discovery.io.bans import Bans
from wgmesh.discovery.io.cache_store import CacheStore
from wgmesh.discovery.io.denylist_store import DenyListStore
from wgmesh.discovery.io.instruments import Instruments
from wgmesh.discovery.io.interfaces_watch import follow_links
from wgmesh.discovery.io.key_agreement import KeyAgreement
from wgmesh.discovery.io.runner import DiscoveryRunner
from wgmesh.discovery.members.address_rules import AddressRules
from wgmesh.discovery.servicer import SERVICE_NAME, DiscoveryServicer
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.runtime import telemetry
from wgmesh.runtime.named_endpoints import NamedEndpoints, parse_named_endpoint
from wgmesh.runtime.remembered_file import RememberedFile
from wgmesh.runtime.service import Shell
from wgmesh.v1.discovery_service_pb2_grpc import add_DiscoveryServiceServicer_to_server


async def main(shell: Shell, settings: DiscoverySettings) -> None:
    """Serves until asked to stop, then says goodbye. Raises InvalidSetting for a bad static peer."""
    named = [parse_named_endpoint(text) for text in settings.static_peers]
    instruments = Instruments(telemetry.meter("wgmesh.discovery"), telemetry.tracer("wgmesh.discovery"))
    wireguard = WireGuardClient(shell.settings.socket_path("wireguard"), telemetry.client_interceptors())
    agreement = KeyAgreement(wireguard, shell.log)
    runner = DiscoveryRunner(settings, shell.log, instruments, agreement.want)
    store = CacheStore(settings.cache_path, shell.log)
    bans = Bans(runner, DenyListStore(settings.denylist_path, shell.log), shell.log)
    stun = NamedEndpoints([parse_named_endpoint(text) for text in settings.stun_servers], runner.set_stun_servers)
    static = NamedEndpoints(
        named, lambda addresses: runner.set_static(addresses, static.failures), are_silent=runner.are_silent
    )
    servicer = DiscoveryServicer(runner, bans)
    with closing(runner):
        async with (
            wireguard,
            shell.serve(lambda server: add_DiscoveryServiceServicer_to_server(servicer, server), [SERVICE_NAME]),
            asyncio.TaskGroup() as tasks,
        ):
            work = [
                tasks.create_task(follow_links(settings.interface, runner.set_links, runner.set_links_unknown)),
                tasks.create_task(runner.keep_cache(store)),
                tasks.create_task(runner.watch_storage(settings.state_dir)),
                tasks.create_task(static.run()),
                tasks.create_task(stun.run()),
                tasks.create_task(agreement.run(runner.set_pair_keys)),
            ]
            if settings.uses_mainline:
                work.append(tasks.create_task(_run_mainline(shell, settings, runner)))
            if settings.private_dht:
                work.append(tasks.create_task(_run_private_dht(shell, settings, runner)))
            await shell.stopping.wait()
            runner.close()
            await runner.save_cache(store)
            for task in work:
                task.cancel()


async def _run_mainline(shell: Shell, settings: DiscoverySettings, runner: DiscoveryRunner) -> None:
    """Keeps a session in the Mainline DHT until cancelled."""
    from wgmesh.discovery.mainline.io.runner import MainlineRunner  # libtorrent only where it is used

    port = derive(settings.secret).dht_port
    bootstrap, nodes = settings.dht_bootstrap, settings.dht_nodes_path
    with closing(MainlineRunner(port, bootstrap, nodes, shell.log, runner.handle_dht)) as mainline:
        runner.on_dht_request = mainline.ask
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(mainline.run())
                async for hosts in runner.hosts.watch():
                    mainline.listen(hosts)
        finally:
            await mainline.save()


async def _run_private_dht(shell: Shell, settings: DiscoverySettings, runner: DiscoveryRunner) -> None:
    """Keeps a node in the private DHT until cancelled."""
    from wgmesh.discovery.private_dht.io.protocol import SealedProtocol  # kademlia only where it is used
    from wgmesh.discovery.private_dht.io.server import PrivateDhtServer
    from wgmesh.discovery.private_dht.storage import JudgedStorage

    keys = derive(settings.secret)
    rules = AddressRules((mesh_ipv4_network(keys, settings.mesh_subnet), keys.ipv6_network), settings.ipv6)
    protocol = SealedProtocol(JudgedStorage(runner.judge_record), keys.private_dht_key, rules, os.urandom, runner.wall)
    server = PrivateDhtServer(protocol, runner.handle_dht)

    bootstrap = NamedEndpoints(map(parse_named_endpoint, settings.private_dht), server.set_bootstrap)
    file = RememberedFile(settings.private_nodes_path, "dht nodes", MAX_FILE_BYTES, shell.log)
    protocol.remembered.enter(*decode_nodes(file.read() or b""))
    runner.on_dht_request = server.ask
    await server.listen(keys.dht_port)
    try:
        async with asyncio.TaskGroup() as tasks:
            for work in (server.run(), bootstrap.run(), file.keep(server.state)):
                tasks.create_task(work)
    finally:
        server.stop()
