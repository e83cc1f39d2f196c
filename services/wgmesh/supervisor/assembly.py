"""From one node's settings to its children: who runs, after whom, as whom, and what each is told.

Each child gets only its share: the secret goes to discovery and node, the state directory to those that keep files.
The supervisor does not know the secret, since whatever it knows is in the memory of every child. It holds the sealed
file with it, which a child takes, or closes, before it does anything else.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from wgmesh.core.addressing import mesh_ipv4_network
from wgmesh.core.keys.keyschedule import MeshLayout, derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.settings import MeshSettings
from wgmesh.discovery.__main__ import main as discovery_main
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.nat.__main__ import main as nat_main
from wgmesh.nat.settings import NatSettings
from wgmesh.node.__main__ import main as node_main
from wgmesh.node.settings import NodeSettings
from wgmesh.runtime.callers import CALLERS, CONTROL
from wgmesh.runtime.sealed_secret import SealedSecret
from wgmesh.runtime.service import Shell, run_service
from wgmesh.runtime.settings import RuntimeSettings
from wgmesh.supervisor.__main__ import run
from wgmesh.supervisor.io import syscall_filter
from wgmesh.supervisor.io.syscall_filter import Filter
from wgmesh.supervisor.settings import IDENTITIES, ChildSpec, SupervisorSettings
from wgmesh.supervisor.syscalls import CONFINED
from wgmesh.wireguard.__main__ import main as wireguard_main
from wgmesh.wireguard.limits import Limits
from wgmesh.wireguard.settings import WireGuardSettings

# Nobody is told of a node before it has a device, and nothing is exported before there is a receiver; everything else
# finds its neighbours by itself, in whatever order they come.
REQUIRES = {
    "metrics": frozenset[str](),
    "wireguard": frozenset[str](),
    "discovery": frozenset[str](),
    "nat": frozenset[str](),
    "node": frozenset({"wireguard", "discovery"}),
}

Main = Callable[[Shell], Awaitable[None]]
Beginning = Callable[[SealedSecret], Main]


def run_node(settings: MeshSettings, layout: MeshLayout, secret: SealedSecret) -> int:
    """Runs one node until it is told to stop, and returns the exit code of the process.

    `layout` follows from the secret.

    Raises AlreadyRunning, PermissionDenied, NotSupported or InvalidInput where the node cannot start.
    """
    filtering = syscall_filter.available()
    supervisor = SupervisorSettings(
        interface=settings.interface,
        runtime_dir=settings.runtime_dir,
        state_dir=settings.state_dir,
        log_level=settings.log_level,
        log_format=settings.log_format,
        control_socket=settings.socket_path,
        single_user=settings.single_user,
        unfiltered=filtering.obstacle,
    )
    return run(children(settings, layout, secret, filtering), supervisor)


def children(
    settings: MeshSettings, layout: MeshLayout, secret: SealedSecret, filtering: Filter
) -> tuple[ChildSpec, ...]:
    """The children of a node."""
    beginnings: dict[str, Beginning] = {
        **(_metrics(settings) if wants_telemetry(settings) else {}),
        "wireguard": partial(_without_secret, wireguard_main, _wireguard(settings, layout)),
        "discovery": partial(_with_secret, discovery_main, partial(_discovery, settings)),
        "nat": partial(_without_secret, nat_main, _nat(settings, layout)),
        "node": partial(_with_secret, node_main, partial(_node, settings, filtering.obstacle)),
    }
    return tuple(
        ChildSpec(
            name,
            partial(_serve, _runtime(settings, name), beginning, secret),
            IDENTITIES[name],
            REQUIRES[name],
            filtering.program if name in CONFINED else b"",
            may_stop_node=CONTROL in CALLERS[name],
        )
        for name, beginning in beginnings.items()
    )


def _serve(runtime: RuntimeSettings, beginning: Beginning, secret: SealedSecret, on_ready: Callable[[], None]) -> int:
    """What a child does, in its own process."""
    return run_service(runtime, beginning(secret), on_ready)


def _with_secret(main: Callable[..., Awaitable[None]], settings: Callable[[Secret], Any], secret: SealedSecret) -> Main:
    return partial(main, settings=settings(secret.take()))


def _without_secret(main: Callable[..., Awaitable[None]], settings: Any, secret: SealedSecret) -> Main:
    secret.close()
    return partial(main, settings=settings)


def _runtime(settings: MeshSettings, service: str) -> RuntimeSettings:
    return RuntimeSettings(
        service=service,
        interface=settings.interface,
        directory=settings.interface_dir,
        log_level=settings.log_level,
        log_format=settings.log_format,
        telemetry=wants_telemetry(settings),
        debug_rpc=settings.debug_rpc,
    )


def wants_telemetry(settings: MeshSettings) -> bool:
    """Whether anybody will read what the processes measure."""
    return bool(settings.metrics_address or settings.otlp_endpoint)


def _metrics(settings: MeshSettings) -> dict[str, Beginning]:
    # loaded only where it is wanted, and before the fork, so that the children share it
    from wgmesh.metrics.__main__ import main
    from wgmesh.metrics.settings import MetricsSettings

    importlib.import_module("wgmesh.runtime.telemetry_export")
    told = MetricsSettings(settings.metrics_address, settings.otlp_endpoint)
    return {"metrics": partial(_without_secret, main, told)}


def _wireguard(settings: MeshSettings, layout: MeshLayout) -> WireGuardSettings:
    limits = Limits(
        mesh=(mesh_ipv4_network(layout, settings.mesh_subnet), layout.ipv6_network),
        accept_routes=settings.accept_routes,
        listen_port=settings.listen_port,
        mtu=settings.mtu,
        is_mesh_named=settings.mesh_subnet is not None,
        is_port_chosen=settings.is_port_chosen,
    )
    return WireGuardSettings(settings.interface, settings.state_dir, limits, settings.keep_interface)


def _discovery(settings: MeshSettings, secret: Secret) -> DiscoverySettings:
    return DiscoverySettings(
        secret=secret,
        interface=settings.interface,
        state_dir=settings.state_dir,
        hostname=settings.hostname,
        mesh_subnet=settings.mesh_subnet,
        lan=settings.lan_discovery,
        underlay=settings.underlay,
        no_underlay=settings.no_underlay,
        ipv6=settings.ipv6,
        punching=settings.punching,
        gossip=settings.gossip,
        static_peers=settings.static_peers,
        stun_servers=settings.stun_servers if settings.stun else (),
        introducer=settings.introducer,
        dht=settings.dht and not settings.private_dht,
        dht_bootstrap=settings.dht_bootstrap,
        private_dht=settings.private_dht,
        keep_interface=settings.keep_interface,
    )


def _nat(settings: MeshSettings, layout: MeshLayout) -> NatSettings:
    return NatSettings(
        probe_port=layout.probe_port,
        stun=settings.stun,
        stun_servers=settings.stun_servers,
        ipv6=settings.ipv6,
        port_mapping=settings.port_mapping,
        mesh_networks=(mesh_ipv4_network(layout, settings.mesh_subnet), layout.ipv6_network),
        punching=settings.punching,
    )


def _node(settings: MeshSettings, unfiltered: str, secret: Secret) -> NodeSettings:
    return NodeSettings(
        secret=secret,
        keys=derive(secret),
        interface=settings.interface,
        hostname=settings.hostname,
        state_dir=settings.state_dir,
        listen_port=settings.listen_port,
        mtu=settings.mtu,
        mesh_subnet=settings.mesh_subnet,
        advertise_routes=settings.advertise_routes,
        accept_routes=settings.accept_routes,
        ipv6=settings.ipv6,
        introducer=settings.introducer,
        follows_host_name=settings.follows_host_name,
        unfiltered=unfiltered,
    )
