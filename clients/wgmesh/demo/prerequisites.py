"""What a machine needs so that nodes can run in namespaces on it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from wgmesh.demo.interruption import signals_held_back

PACKAGES = {"ip": "iproute2", "nft": "nftables", "ping": "iputils-ping", "wg": "wireguard-tools"}


def _succeeds(*argv: str) -> bool:
    with signals_held_back():  # Ctrl-C must not look like something that is missing
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def kernel_has_wireguard() -> bool:
    """Whether a WireGuard interface can be made by the kernel; tried in a namespace that ends with the try."""
    return _succeeds("unshare", "--net", "ip", "link", "add", "wg0", "type", "wireguard")


def others_can_read_the_program() -> bool:
    """Whether the users of a node's processes can: not where the program lies in somebody's home directory."""
    imported = [Path(entry) for entry in sys.path if os.path.isabs(entry) and os.path.exists(entry)]
    places = [Path(sys.base_prefix), Path(sys.prefix), *imported]
    folders = {folder for place in places for path in (place, place.resolve()) for folder in path.parents}
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in folders)


def missing_prerequisites() -> tuple[str, ...]:
    """One sentence for each thing that is missing; empty if real nodes can run here."""
    missing = [
        f"{program} is missing: install the package {package}"
        for program, package in PACKAGES.items()
        if shutil.which(program) is None
    ]
    if os.geteuid() != 0:
        return (*missing, "real tunnels need root: run it with sudo")
    if "iproute2" not in " ".join(missing) and not _succeeds("unshare", "--net", "true"):
        missing.append("network namespaces cannot be made here: a container needs to be started with --privileged")
    if not kernel_has_wireguard():
        if shutil.which(os.environ.get("WG_QUICK_USERSPACE_IMPLEMENTATION", "wireguard-go")) is None:
            missing.append("the kernel has no WireGuard and wireguard-go is missing: install the package wireguard-go")
        elif not os.access("/dev/net/tun", os.R_OK | os.W_OK):
            missing.append("/dev/net/tun cannot be opened: a container needs --device /dev/net/tun")
    return tuple(missing)
