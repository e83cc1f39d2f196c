"""What every service is told about its place in the node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """One process's settings that do not depend on what the service does.

    `directory` holds the sockets and locks of this node (/run/wgmesh/<interface>). `sockets` overrides the path of
    single services by name. Without `telemetry` nothing is measured or traced, and nothing of the SDK is loaded.
    """

    service: str
    interface: str
    directory: Path
    log_level: str = "info"
    log_format: str = "text"
    telemetry: bool = True
    sockets: Mapping[str, Path] = field(default_factory=dict)

    def socket_path(self, service: str) -> Path:
        """Returns where `service` of this node listens."""
        return self.sockets.get(service, self.directory / f"{service}.sock")
