"""What this process may do, from /proc/self/status: root without a capability is not enough, and a user with it is."""

from __future__ import annotations

from pathlib import Path

from wgmesh.core.errors import NotSupported

CAP_NET_ADMIN = 12  # linux/capability.h


def has_capabilities(*numbers: int) -> bool:
    """Tells whether all the capabilities are in effect. Raises NotSupported where the kernel does not say."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError as error:
        raise NotSupported(
            f"/proc/self/status cannot be read ({error.strerror}); wgmesh needs Linux with /proc"
        ) from None
    return effective(status).issuperset(numbers)


def effective(status: str) -> frozenset[int]:
    """The numbers of the capabilities in the CapEff line of a /proc/PID/status text."""
    mask = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0)
    return frozenset(number for number in range(mask.bit_length()) if mask >> number & 1)
