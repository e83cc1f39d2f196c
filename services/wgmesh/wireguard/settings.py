"""What the wireguard service is started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wgmesh.wireguard.limits import Limits


@dataclass(frozen=True, slots=True)
class WireGuardSettings:
    """`state_dir` holds the identity. `keep_interface` leaves the device in place when the service stops.

    `limits` is what the device may be, told before the fork: no other process can widen it afterwards.
    """

    interface: str
    state_dir: Path
    limits: Limits
    keep_interface: bool = False
