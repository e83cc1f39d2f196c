"""From one node's settings to its children: who runs, after whom, as whom, and what each is told.

Each child gets only its share: the secret goes to discovery and node, the state directory to those that keep files.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from functools import partial

from wgmesh.core.keyschedule import MeshKeys, derive
from wgmesh.core.settings import MeshSettings
from wgmesh.discovery.__main__ import main as discovery_main
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.nat.__main__ import main as nat_main
from wgmesh.nat.settings import NatSettings
from wgmesh.node.__main__ import main as node_main
from wgmesh.node.settings import NodeSettings
from wgmesh.runtime.service import Shell, run_service
from wgmesh.runtime.settings import RuntimeSettings
from wgmesh.supervisor.__main__ import run
from wgmesh.supervisor.settings import IDENTITIES, ChildSpec, SupervisorSettings
from wgmesh.wireguard.__main__ import main as wireguard_main
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


def run_node(settings: MeshSettings) -> int:
    """Runs one node until it is told to stop, and returns the exit code of the process.

    Raises AlreadyRunning, PermissionDenied, NotSupported or InvalidInput where the node cannot start.
    """
    supervisor = SupervisorSettings(
        interface=settings.interface,
        runtime_dir=settings.runtime_dir,
        state_dir=settings.state_dir,
        log_level=settings.log_level,
        log_format=settings.log_format,
        writable_dirs=(settings.control_socket.parent,),
    )
    return run(children(settings), supervisor)


def children(settings: MeshSettings) -> tuple[ChildSpec, ...]:
    """The children of a node."""
    keys = derive(settings.secret)
    mains: dict[str, Callable[[Shell], Awaitable[None]]] = {
        **(_metrics(settings) if wants_telemetry(settings) else {}),
        "wireguard": partial(wireguard_main, settings=_wireguard(settings)),
        "discovery": partial(discovery_main, settings=_discovery(settings)),
        "nat": partial(nat_main, settings=_nat(settings, keys)),
        "node": partial(node_main, settings=_node(settings, keys)),
    }
    return tuple(
        ChildSpec(name, partial(run_service, _runtime(settings, name), main), REQUIRES[name], IDENTITIES[name])
        for name, main in mains.items()
    )


def _runtime(settings: MeshSettings, service: str) -> RuntimeSettings:
    sockets = {"node": settings.socket_path} if settings.socket_path else {}
    return RuntimeSettings(
        service=service,
        interface=settings.interface,
        directory=settings.interface_dir,
        log_level=settings.log_level,
        log_format=settings.log_format,
        telemetry=wants_telemetry(settings),
        sockets=sockets,
    )


def wants_telemetry(settings: MeshSettings) -> bool:
    """Whether anybody will read what the processes measure."""
    return bool(settings.metrics_address or settings.otlp_endpoint)


def _metrics(settings: MeshSettings) -> dict[str, Callable[[Shell], Awaitable[None]]]:
    # loaded only where it is wanted, and before the fork, so that the children share it
    from wgmesh.metrics.__main__ import main
    from wgmesh.metrics.settings import MetricsSettings

    importlib.import_module("wgmesh.runtime.telemetry_export")
    return {"metrics": partial(main, settings=MetricsSettings(settings.metrics_address, settings.otlp_endpoint))}


def _wireguard(settings: MeshSettings) -> WireGuardSettings:
    return WireGuardSettings(settings.interface, settings.state_dir, settings.keep_interface)


def _discovery(settings: MeshSettings) -> DiscoverySettings:
    return DiscoverySettings(
        secret=settings.secret,
        interface=settings.interface,
        state_dir=settings.state_dir,
        hostname=settings.hostname,
        mesh_subnet=settings.mesh_subnet,
        lan=settings.lan_discovery,
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


def _nat(settings: MeshSettings, keys: MeshKeys) -> NatSettings:
    return NatSettings(
        probe_port=keys.probe_port, stun=settings.stun, stun_servers=settings.stun_servers, ipv6=settings.ipv6
    )


def _node(settings: MeshSettings, keys: MeshKeys) -> NodeSettings:
    return NodeSettings(
        secret=settings.secret,
        keys=keys,
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
    )
