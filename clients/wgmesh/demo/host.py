"""One simulated machine: a network namespace with its own name, directories and processes."""

from __future__ import annotations

import ipaddress
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from wgmesh.demo.interruption import signals_held_back
from wgmesh.demo.process import Process

EXEC_TIMEOUT_S = 60.0  # no command of the lab takes two seconds; a hang must not stop the run

# `ip netns exec` gives each command its own mount namespace, so the mounts below are seen by that command alone.
# Userspace WireGuard's sockets in /run/wireguard would otherwise be shared by all machines.
_ENTER = (
    'echo "$1" >/proc/sys/kernel/hostname && mount --bind "$0/wireguard" /run/wireguard && {resolver}shift && exec "$@"'
)
_RESOLVER = 'mount --bind "$0/resolv.conf" /etc/resolv.conf && '


class CommandFailed(Exception):
    """A command of the lab failed; the text names it and what it printed."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """Where a machine is plugged in."""

    lan: str
    switch: str  # namespace of the bridge
    port: str  # interface at the bridge
    interface: str  # interface in the machine
    ipv4: ipaddress.IPv4Interface
    ipv6: ipaddress.IPv6Interface


def run(argv: list[str], stdin: str = "", timeout_s: float = EXEC_TIMEOUT_S) -> str:
    """Runs a command that makes or removes a part of a lab, which no signal breaks off. As `output_of` otherwise."""
    with signals_held_back():
        return output_of(argv, stdin, timeout_s)


def output_of(argv: list[str], stdin: str, timeout_s: float) -> str:
    """Runs a command to its end and returns its output. Raises CommandFailed."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False)
    if done.returncode != 0:
        raise CommandFailed(
            f"{' '.join(argv)}: exit code {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
        )
    return done.stdout


class Host:
    """A machine on the fabric. `directory` holds its sockets, state and logs, and is removed with the fabric."""

    def __init__(self, name: str, namespace: str, directory: Path) -> None:
        self.name = name
        self.namespace = namespace
        self.directory = directory
        self.attachments: list[Attachment] = []
        self.processes: list[Process] = []
        for part in ("wireguard", "state", "run"):
            (directory / part).mkdir(parents=True)
        self.write_resolver("")

    @property
    def ipv4(self) -> ipaddress.IPv4Address:
        """Its address on the first LAN."""
        return self.attachments[0].ipv4.ip

    @property
    def ipv6(self) -> ipaddress.IPv6Address:
        return self.attachments[0].ipv6.ip

    @property
    def interface(self) -> str:
        return self.attachments[0].interface

    @property
    def state_dir(self) -> Path:
        return self.directory / "state"

    @property
    def runtime_dir(self) -> Path:
        return self.directory / "run"

    def write_resolver(self, text: str) -> None:
        """Sets its /etc/resolv.conf; empty means that no name can be resolved."""
        (self.directory / "resolv.conf").write_text(text)

    def argv(self, *command: str) -> list[str]:
        """The command line that runs `command` inside; the process id stays the same through all the steps."""
        resolver = _RESOLVER if os.path.exists("/etc/resolv.conf") else ""
        script = _ENTER.format(resolver=resolver)
        enter = ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "sh", "-c", script]
        return [*enter, str(self.directory), self.name, *command]

    def exec(self, *command: str, stdin: str = "", timeout_s: float = EXEC_TIMEOUT_S) -> str:
        """Runs `command` inside and returns its output. Raises CommandFailed."""
        return output_of(self.argv(*command), stdin, timeout_s)

    def attempt(
        self,
        *command: str,
        stdin: str = "",
        timeout_s: float = EXEC_TIMEOUT_S,
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs `command` inside and returns whatever came of it."""
        return subprocess.run(
            self.argv(*command),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env=environment,
        )

    def spawn(self, *command: str, name: str, environment: dict[str, str] | None = None) -> Process:
        """Starts `command` inside; its output goes to `<directory>/<name>.log`. The fabric ends it at the latest."""
        process = Process(self.argv(*command), self.directory / f"{name}.log", name, environment)
        self.processes.append(process)
        return process

    def ip(self, *arguments: str) -> str:
        """Runs `ip` in the namespace."""
        return run(["ip", "-n", self.namespace, *arguments])

    def nft(self, rules: str) -> None:
        """Loads nftables rules in the namespace."""
        run(["ip", "netns", "exec", self.namespace, "nft", "-f", "-"], rules)

    def set_link(self, up: bool, interface: str = "") -> None:
        """Sets an interface up or down, by default the first."""
        self.ip("link", "set", interface or self.interface, "up" if up else "down")

    def set_isolated(self, isolated: bool) -> None:
        """Keeps it from talking to other isolated machines of its first LAN."""
        plug = self.attachments[0]
        state = "on" if isolated else "off"
        run(["bridge", "-n", plug.switch, "link", "set", "dev", plug.port, "isolated", state])

    def set_loss(self, percent: int, interface: str = "") -> None:
        """Drops `percent` of the packets that arrive on an interface, by default the first; 0 ends it."""
        rule = f'iifname "{interface or self.interface}" numgen random mod 100 < {percent} drop'
        chain = "type filter hook prerouting priority -300;"
        self.nft(
            "table inet lab_loss\ndelete table inet lab_loss\n"
            + (f"table inet lab_loss {{ chain arriving {{ {chain}\n{rule}\n}}\n}}\n" if percent else "")
        )

    def pids(self) -> list[int]:
        """All processes in the namespace, also those that this program did not start."""
        return [int(pid) for pid in run(["ip", "netns", "pids", self.namespace]).split()]
