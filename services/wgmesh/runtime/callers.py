"""Who may call what of whom on one host.

gRPC in Python tells a server nothing of the peer's user, and takes calls of all its ports alike. So each caller has a
server and a socket of its own, in a directory that only it and the serving process may enter, and that server knows
the methods that are meant for it. What is not in this table is refused: a process that was taken over can do to the
others what it could do before, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SMALL_REQUEST_BYTES = 64 * 1024  # a thousand keys for an agreement are 34 kB, and the other requests a line
LARGE_REQUEST_BYTES = 16 * 1024 * 1024  # a device or a snapshot of some ten thousand peers; answers have as much

CONTROL = "control"  # people and scripts, by way of the control socket

_RUNTIME = "wgmesh.v1.RuntimeService"
_WIREGUARD = "wgmesh.v1.WireGuardService"
_DISCOVERY = "wgmesh.v1.DiscoveryService"
_EXPORT = (
    "opentelemetry.proto.collector.metrics.v1.MetricsService",
    "opentelemetry.proto.collector.trace.v1.TraceService",
)


@dataclass(frozen=True, slots=True)
class Access:
    """What one caller may ask of one service: services as a whole, or single methods as `service/method`.

    `many` says that the caller is several programs, of which none need know of another.
    """

    calls: frozenset[str]
    request_bytes_max: int = SMALL_REQUEST_BYTES
    many: bool = False

    def allows(self, method: str) -> bool:
        """Whether the method, as /service/method, may be called."""
        name = method.removeprefix("/")
        return name in self.calls or name.partition("/")[0] in self.calls


def _access(*calls: str, request_bytes_max: int = SMALL_REQUEST_BYTES, many: bool = False) -> Access:
    return Access(frozenset(calls), request_bytes_max, many)


CALLERS: Mapping[str, Mapping[str, Access]] = {
    "wireguard": {
        "node": _access(
            *(f"{_WIREGUARD}/{name}" for name in ("ApplyDevice", "PlanDevice", "WatchDevice")),
            _RUNTIME,
            request_bytes_max=LARGE_REQUEST_BYTES,
        ),
        "discovery": _access(f"{_WIREGUARD}/AgreePairKeys"),
    },
    "discovery": {
        "node": _access(_DISCOVERY, _RUNTIME, request_bytes_max=LARGE_REQUEST_BYTES),
        "nat": _access(f"{_DISCOVERY}/WatchPeers"),
    },
    "nat": {"node": _access("wgmesh.v1.NatService", _RUNTIME)},
    "metrics": {
        "node": _access(*_EXPORT, _RUNTIME, request_bytes_max=LARGE_REQUEST_BYTES),
        **{
            caller: _access(*_EXPORT, request_bytes_max=LARGE_REQUEST_BYTES)
            for caller in ("wireguard", "discovery", "nat")
        },
    },
    "node": {CONTROL: _access("wgmesh.v1.NodeService", _RUNTIME, many=True)},
}


def socket_path(directory: Path, service: str, caller: str) -> Path:
    """Returns where `service` of the node in `directory` listens for `caller`."""
    return directory / service / caller / f"{service}.sock"
