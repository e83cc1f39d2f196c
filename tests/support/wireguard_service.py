"""Runs the wireguard service alone: `python wireguard_service.py RUN_DIR STATE_DIR [keep]`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from wgmesh.runtime.service import run_service
from wgmesh.runtime.settings import RuntimeSettings
from wgmesh.wireguard.__main__ import main
from wgmesh.wireguard.settings import WireGuardSettings

if __name__ == "__main__":
    run_dir, state_dir, *flags = sys.argv[1:]
    settings = WireGuardSettings("wg0", Path(state_dir), keep_interface="keep" in flags)
    sys.exit(run_service(RuntimeSettings("wireguard", "wg0", Path(run_dir)), partial(main, settings=settings)))
