from __future__ import annotations

import subprocess
import sys


def test_the_unused_parts_of_pyroute2_are_not_loaded() -> None:
    program = "import sys, wgmesh.runtime.netlink; print(sorted({'pyroute2.ndb', 'sqlite3'} & sys.modules.keys()))"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20)

    assert loaded.stdout == "[]\n"


def test_the_classes_are_those_of_pyroute2_itself() -> None:
    program = (
        "import pyroute2; from wgmesh.runtime import netlink as n; "
        "print(n.AsyncIPRoute is pyroute2.AsyncIPRoute, n.NetlinkError is pyroute2.NetlinkError)"
    )

    compared = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20)

    assert compared.stdout == "True True\n"
