"""Networks of machines in namespaces: switches, LANs, hosts, and their removal.

Everything lies in namespaces of its own, also the bridges, so the machine that runs this gains no interface, address or
route, and no packet can leave. Names carry the id of the running program: two runs never meet, and what a killed run
left is swept by the next.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from wgmesh.demo.host import Attachment, CommandFailed, Host, run
from wgmesh.demo.process import stop_all

PREFIX = "wgmesh-lab"
NETNS_DIR = Path("/run/netns")
HOSTS_PER_LAN_MAX = 200  # a /24 with room for a router and static addresses
_OWNED = re.compile(rf"{PREFIX}-(\d+)-")

_serial = count(1)  # several fabrics may live in one program

# A fresh IPv6 address is unusable for a second while duplicates are looked for; nobody else is on these links.
_QUIET = "for n in all default; do echo 0 >/proc/sys/net/ipv6/conf/$n/accept_dad; done; exec ip -batch -"


@dataclass(slots=True)
class Lan:
    """A bridge with its address ranges."""

    name: str
    switch: str
    network4: ipaddress.IPv4Network
    network6: ipaddress.IPv6Network
    port_count: int = 0


def owner(name: str) -> int | None:
    """The id of the program that made a namespace or directory of this name, None for foreign names."""
    found = _OWNED.match(name)
    return int(found.group(1)) if found else None


def end_processes(namespace: str) -> None:
    """Kills what still runs in one of our namespaces, by id."""
    for pid in run(["ip", "netns", "pids", namespace]).split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def sweep() -> list[str]:
    """Removes namespaces and directories of runs whose program is dead. Returns their names."""

    def is_left(path: Path) -> bool:
        pid = owner(path.name)
        return pid is not None and not Path(f"/proc/{pid}").exists()

    swept = []
    for path in filter(is_left, NETNS_DIR.glob(f"{PREFIX}-*") if NETNS_DIR.exists() else ()):
        with suppress(CommandFailed):  # another run sweeps at the same moment
            end_processes(path.name)
            run(["ip", "netns", "delete", path.name])
            swept.append(path.name)
    for path in filter(is_left, Path(tempfile.gettempdir()).glob(f"{PREFIX}-*")):
        if not path.is_symlink() and path.stat().st_uid == os.geteuid():
            shutil.rmtree(path, ignore_errors=True)
            swept.append(path.name)
    return swept


class Fabric:
    """A network of machines. Use it as a context manager: at its end everything is gone, also after Ctrl-C."""

    def __init__(self) -> None:
        sweep()
        self._tag = f"{PREFIX}-{os.getpid()}-{next(_serial)}"
        # Short, because socket paths end at 107 bytes; open to look into, because nodes drop to a user of their own.
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self._tag}-"))
        self.directory.chmod(0o755)
        self.hosts: dict[str, Host] = {}
        self._namespaces: list[str] = []
        self._lans: dict[str, Lan] = {}

    def __enter__(self) -> Self:
        try:
            self.add_lan("lan")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add_lan(self, name: str) -> Lan:
        """Adds a switch. The first is called `lan` and exists from the start."""
        index = len(self._lans)
        switch = self._add_namespaces([f"switch{index}"])[0]
        run(
            ["ip", "-n", switch, "-batch", "-"],
            # No snooping: without a multicast querier a snooping bridge may hold packets back.
            "link add name br0 type bridge forward_delay 0 mcast_snooping 0\nlink set br0 up\n",
        )
        lan = Lan(
            name,
            switch,
            ipaddress.IPv4Network(f"192.168.{77 + index}.0/24"),
            ipaddress.IPv6Network(f"fd77:77:77:{index:x}::/64"),
        )
        self._lans[name] = lan
        return lan

    def add_host(self, name: str, lan: str = "lan") -> Host:
        """Adds one machine on a LAN."""
        return self.add_hosts([name], lan)[0]

    def add_hosts(self, names: Sequence[str], lan: str = "lan") -> list[Host]:
        """Adds machines on a LAN, all at once."""
        namespaces = self._add_namespaces(names)
        added = []
        for name, namespace in zip(names, namespaces, strict=True):
            host = Host(name, namespace, self.directory / name)
            self.hosts[name] = host
            added.append(host)
        (Path("/run/wireguard")).mkdir(exist_ok=True)  # the place that each machine covers with its own
        self._plug(added, self._lans[lan])
        return added

    def attach(self, host: Host, lan: str) -> None:
        """Plugs a machine into one more LAN."""
        self._plug([host], self._lans[lan])

    def keep_logs(self) -> Path:
        """Copies all logs to a directory that stays, and returns it."""
        kept = Path(tempfile.mkdtemp(prefix="wgmesh-logs-"))
        for log in self.directory.glob("*/*.log"):
            shutil.copy(log, kept / f"{log.parent.name}-{log.name}")
        return kept

    def close(self) -> None:
        """Ends every process, namespace and directory of this fabric. May be called twice."""
        in_main = threading.current_thread() is threading.main_thread()
        # A second Ctrl-C must not cut the cleaning short; it is bounded anyway.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
        try:
            stop_all(process for host in self.hosts.values() for process in host.processes)
            for namespace in self._namespaces:
                end_processes(namespace)
            run(["ip", "-force", "-batch", "-"], "".join(f"netns delete {name}\n" for name in self._namespaces))
            self._namespaces.clear()
            shutil.rmtree(self.directory, ignore_errors=True)
        finally:
            if in_main:
                signal.signal(signal.SIGINT, before or signal.default_int_handler)

    def _add_namespaces(self, names: Sequence[str]) -> list[str]:
        made = [f"{self._tag}-{name}" for name in names]
        self._namespaces += made
        run(["ip", "-batch", "-"], "".join(f"netns add {name}\n" for name in made))
        return made

    def _plug(self, hosts: Sequence[Host], lan: Lan) -> None:
        """Gives each host a cable into the LAN, an IPv4 and an IPv6 address, and no default route."""
        cables, ports = [], []
        for host in hosts:
            lan.port_count += 1
            if lan.port_count > HOSTS_PER_LAN_MAX:
                raise ValueError(f"a LAN of the lab takes at most {HOSTS_PER_LAN_MAX} machines; add another")
            number = lan.port_count
            plug = Attachment(
                lan=lan.name,
                switch=lan.switch,
                port=f"port{number}",
                interface=f"eth{len(host.attachments)}",
                ipv4=ipaddress.IPv4Interface(f"{lan.network4[10 + number]}/{lan.network4.prefixlen}"),
                ipv6=ipaddress.IPv6Interface(f"{lan.network6[10 + number]}/{lan.network6.prefixlen}"),
            )
            host.attachments.append(plug)
            cables.append(
                f"link add {plug.port} netns {lan.switch} type veth peer name {plug.interface} netns {host.namespace}\n"
            )
            ports.append(f"link set {plug.port} master br0\nlink set {plug.port} up\n")
        run(["ip", "-batch", "-"], "".join(cables))
        run(["ip", "-n", lan.switch, "-batch", "-"], "".join(ports))
        for host in hosts:
            plug = host.attachments[-1]
            run(
                ["ip", "netns", "exec", host.namespace, "sh", "-c", _QUIET],
                "link set lo up\n"
                f"addr add {plug.ipv4} dev {plug.interface}\n"
                f"addr add {plug.ipv6} dev {plug.interface} nodad\n"
                f"link set {plug.interface} up\n",
            )
