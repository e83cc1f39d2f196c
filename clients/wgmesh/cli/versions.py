"""What `wgmesh version` says."""

from __future__ import annotations

import sys

from wgmesh.core.version import VERSION

WIRE_PROTOCOL = "wgmesh-v1"  # the word in every envelope; importing it from the envelope would load a cipher library
CONTRACT = "wgmesh.v1"  # the protobuf package of the control socket


def version_line() -> str:
    return f"wgmesh version {VERSION}"


def version_value() -> dict[str, str]:
    """The version of the program and those of its protocols."""
    python = ".".join(map(str, sys.version_info[:3]))
    return {"version": VERSION, "protocol": WIRE_PROTOCOL, "contract": CONTRACT, "python": python}
