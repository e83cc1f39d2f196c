"""What a machine needs so that nodes can run in namespaces on it."""

from __future__ import annotations

import os
import shutil
import subprocess

PACKAGES = {"ip": "iproute2", "nft": "nftables", "ping": "iputils-ping", "wg": "wireguard-tools"}


def _succeeds(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def kernel_has_wireguard() -> bool:
    """Whether a WireGuard interface can be made by the kernel; tried in a namespace that ends with the try."""
    return _succeeds("unshare", "--net", "ip", "link", "add", "wg0", "type", "wireguard")


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
