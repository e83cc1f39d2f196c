"""`wgmesh version`."""

from __future__ import annotations

import sys

import click
from wgmesh.cli.options import json_option
from wgmesh.cli.output import emit, emit_json
from wgmesh.core.version import VERSION

WIRE_PROTOCOL = "wgmesh-v1"  # the word in every envelope; importing it from the envelope would load a cipher library
CONTRACT = "wgmesh.v1"  # the protobuf package of the control socket


@click.command("version", short_help="Print the version.")
@json_option
def command(as_json: bool) -> None:
    """Prints the version of the program; with --json also those of its protocols."""
    if as_json:
        python = ".".join(map(str, sys.version_info[:3]))
        emit_json({"version": VERSION, "protocol": WIRE_PROTOCOL, "contract": CONTRACT, "python": python})
    else:
        emit(f"wgmesh version {VERSION}")
