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
from wgmesh.demo.interruption import noted_signals
from wgmesh.demo.process import stop_all

PREFIX = "wgmesh-lab"

# A LAN that stands for the internet: addresses that Python and the DHT's programs take for public ones, each machine in
# a network of its own. The first is what amateur radio left unused, the second is for documentation.
PUBLIC_NETWORK4 = ipaddress.IPv4Network("44.128.0.0/9")
PUBLIC_NETWORK6 = ipaddress.IPv6Network("2001:db8::/32")
PUBLIC_HOSTS_MAX = 100  # 128 networks of 65536 addresses

NETNS_DIR = Path("/run/netns")
HOSTS_PER_LAN_MAX = 200  # a /24 with room for a router and static addresses
_OWNED = re.compile(rf"{PREFIX}-(\d+)-")

_serial = count(1)  # several fabrics may live in one program

# A fresh IPv6 address is unusable for a second while duplicates are looked for; nobody else is on these links.
_QUIET = "for conf in /proc/sys/net/ipv6/conf/*; do echo 0 >$conf/accept_dad; done; exec ip -batch -"


@dataclass(slots=True)
class Lan:
    """A bridge with its address ranges."""

    name: str
    switch: str
    network4: ipaddress.IPv4Network
    network6: ipaddress.IPv6Network
    spread: bool = False
    port_count: int = 0
    router: Attachment | None = None

    def addresses(self, number: int) -> tuple[ipaddress.IPv4Interface, ipaddress.IPv6Interface]:
        """The addresses of the machine at port `number`."""
        step4, step6 = (1 << 16, 1 << 64) if self.spread else (1, 1)
        ipv4, ipv6 = (self.network4[10] + number * step4, self.network6[10] + number * step6)
        return (
            ipaddress.IPv4Interface(f"{ipv4}/{self.network4.prefixlen}"),
            ipaddress.IPv6Interface(f"{ipv6}/{self.network6.prefixlen}"),
        )


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

    def add_lan(self, name: str, *, public: bool = False) -> Lan:
        """Adds a switch. The first is called `lan` and exists from the start.

        A `public` one, of which there can be one, stands for the internet: its machines have public addresses, each in
        another network.
        """
        index = len(self._lans)
        switch = self._add_namespaces([f"switch{index}"])[0]
        run(
            ["ip", "-n", switch, "-batch", "-"],
            # No snooping: without a multicast querier a snooping bridge may hold packets back.
            "link add name br0 type bridge forward_delay 0 mcast_snooping 0\nlink set br0 up\n",
        )
        network4 = PUBLIC_NETWORK4 if public else ipaddress.IPv4Network(f"192.168.{77 + index}.0/24")
        network6 = PUBLIC_NETWORK6 if public else ipaddress.IPv6Network(f"fd77:77:77:{index:x}::/64")
        lan = Lan(name, switch, network4, network6, public)
        self._lans[name] = lan
        return lan

    def add_router(self, name: str, lans: Sequence[str]) -> Host:
        """Adds a machine that forwards between these LANs, of both families; multicast stays on its LAN.

        It becomes the default router of all other machines on them, also of those that are plugged in later.
        """
        router = self.add_host(name, lans[0])
        for lan in lans[1:]:
            self.attach(router, lan)
        router.exec("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for plug in router.attachments:
            self._lans[plug.lan].router = plug
        for host in self.hosts.values():
            for plug in host.attachments:
                self._route(host, plug)
        return router

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
        if threading.current_thread() is not threading.main_thread():  # signals come to the main thread only
            self._remove_all()
            return
        # A second Ctrl-C must not cut the cleaning short, which is bounded anyway. It takes effect afterwards.
        with noted_signals() as arrived:
            self._remove_all()
        for number in arrived:
            signal.raise_signal(number)

    def _remove_all(self) -> None:
        stop_all(process for host in self.hosts.values() for process in host.processes)
        made = [name for name in self._namespaces if (NETNS_DIR / name).exists()]  # making them may have failed
        for namespace in made:
            end_processes(namespace)
        run(["ip", "-force", "-batch", "-"], "".join(f"netns delete {name}\n" for name in made))
        self._namespaces.clear()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _add_namespaces(self, names: Sequence[str]) -> list[str]:
        made = [f"{self._tag}-{name}" for name in names]
        self._namespaces += made
        run(["ip", "-batch", "-"], "".join(f"netns add {name}\n" for name in made))
        return made

    def _plug(self, hosts: Sequence[Host], lan: Lan) -> None:
        """Gives each host a cable into the LAN, an address of each family, and a default route if there is a router."""
        cables, ports = [], []
        for host in hosts:
            lan.port_count += 1
            most = PUBLIC_HOSTS_MAX if lan.spread else HOSTS_PER_LAN_MAX
            if lan.port_count > most:
                raise ValueError(f"this LAN of the lab takes at most {most} machines; add another")
            number = lan.port_count
            ipv4, ipv6 = lan.addresses(number)
            plug = Attachment(
                lan=lan.name,
                switch=lan.switch,
                port=f"port{number}",
                interface=f"eth{len(host.attachments)}",
                ipv4=ipv4,
                ipv6=ipv6,
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
            self._route(host, plug)

    def _route(self, host: Host, plug: Attachment) -> None:
        """Gives a machine its default routes through the router of a LAN; the LAN that came first wins."""
        router = self._lans[plug.lan].router
        if router is None or router in host.attachments:
            return
        metric = str(100 + host.attachments.index(plug))
        for via in (router.ipv4.ip, router.ipv6.ip):
            way = ["via", str(via), "dev", plug.interface, "metric", metric]
            host.ip(f"-{via.version}", "route", "replace", "default", *way)
