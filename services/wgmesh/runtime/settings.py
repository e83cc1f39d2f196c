"""What every service is told about its place in the node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wgmesh.runtime import callers


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """One process's settings that do not depend on what the service does.

    `directory` holds the sockets and locks of this node (/run/wgmesh/<interface>). Without `telemetry` nothing is
    measured or traced, and nothing of the SDK is loaded. With `debug_rpc` the service says by gRPC reflection what it
    serves.
    """

    service: str
    interface: str
    directory: Path
    log_level: str = "info"
    log_format: str = "text"
    telemetry: bool = True
    debug_rpc: bool = False

    def socket_path(self, service: str) -> Path:
        """Returns where `service` of this node listens for this process."""
        return callers.socket_path(self.directory, service, self.service)

    def served_path(self, caller: str) -> Path:
        """Returns where this process listens for `caller`."""
        return callers.socket_path(self.directory, self.service, caller)
