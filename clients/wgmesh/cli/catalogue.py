"""The table of commands. Help, lookup and completion follow from it; nothing here imports a command."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One command: its name, the module under wgmesh.cli.commands, its section in the help, and one line about it."""

    name: str
    module: str
    section: str
    summary: str


SETUP, RUN, LOOK, TOOLS = "Make a mesh", "Run a node", "Look at a running node", "Tools"

CATALOGUE: tuple[Entry, ...] = (
    Entry("init", "init", SETUP, "Make a new mesh secret."),
    Entry("qr", "qr", SETUP, "Show a secret as a QR code."),
    Entry("join", "join", RUN, "Join the mesh of a secret and stay until stopped."),
    Entry("down", "down", RUN, "Stop a running node."),
    Entry("reload", "reload", RUN, "Make a running node read its reload file again."),
    Entry("demo", "demo", RUN, "Start a whole mesh on this machine and watch it connect."),
    Entry("status", "status", LOOK, "Show a running node, or what a secret derives to."),
    Entry("plan", "plan", LOOK, "Show what a running node would do to its device next, and why."),
    Entry("peers", "peers", LOOK, "List, count, find or ban peers."),
    Entry("ping", "ping", LOOK, "Ping a peer through the tunnel."),
    Entry("netcheck", "netcheck", LOOK, "Check what the NAT does."),
    Entry("test-peer", "test_peer", LOOK, "Ask an address whether a member of the mesh answers there."),
    Entry("completion", "completion", TOOLS, "Print the completion script for bash, zsh or fish."),
    Entry("version", "version", TOOLS, "Print the version."),
)

_FLEET = "the fleet mode is not in this version yet"

# What upstream has and this version does not: an honest answer instead of "no such command".
NOT_YET: dict[str, str] = {
    "install-service": "not in this version yet; run `wgmesh join --secret-file FILE` from a unit of your own",
    "uninstall-service": "not in this version yet; stop and remove the unit by hand",
    "rotate-secret": "not in this version yet; start all nodes with a new secret from `wgmesh init --secret`",
    "service": "managed ingress is not in this version yet",
    "pilot": "upstream's pilot programme is not part of a mesh and not in this program",
    "referral": "upstream's referral programme is not part of a mesh and not in this program",
    **dict.fromkeys(("mesh", "-init", "-add", "-remove", "-list", "-list-simple", "-deploy", "-encrypt"), _FLEET),
}


def entry(name: str) -> Entry | None:
    """Returns the row of a command, or None."""
    return next((row for row in CATALOGUE if row.name == name), None)
