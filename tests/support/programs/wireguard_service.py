"""Runs the wireguard service alone: `python wireguard_service.py RUN_DIR STATE_DIR [keep] [PORT]`."""

from __future__ import annotations

import ipaddress
import sys
from functools import partial
from pathlib import Path

from wgmesh.core.settings import EVERYTHING
from wgmesh.runtime.service import run_service
from wgmesh.runtime.settings import RuntimeSettings
from wgmesh.wireguard.__main__ import main
from wgmesh.wireguard.limits import Limits
from wgmesh.wireguard.settings import WireGuardSettings

if __name__ == "__main__":
    run_dir, state_dir, *flags = sys.argv[1:]
    port = next((int(flag) for flag in flags if flag.isdigit()), 51820)
    mesh = (ipaddress.ip_network("10.77.0.0/16"), ipaddress.ip_network("fd5a::/64"))
    limits = Limits(mesh, EVERYTHING, listen_port=port, mtu=1420)
    settings = WireGuardSettings("wg0", Path(state_dir), limits, keep_interface="keep" in flags)
    sys.exit(run_service(RuntimeSettings("wireguard", "wg0", Path(run_dir)), partial(main, settings=settings)))
