"""What the wireguard service is started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WireGuardSettings:
    """`state_dir` holds the identity. `keep_interface` leaves the device in place when the service stops."""

    interface: str
    state_dir: Path
    keep_interface: bool = False
