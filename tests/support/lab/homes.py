"""Machines at home, each behind a router with a NAT of a chosen kind, and an internet with delay between the routers.

      node ── home [router] wan ── line with delay ── [core] ── internet: a public machine, two STUN servers

The core is a router of its own, so a datagram has at least one hop between two NATs, as on the real internet.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.doubles.stun_responder import responding
from support.lab.nat_lab import SERVER_ADDRESSES, background, run_inside
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.waiting import wait_for

DELAYED_LINE = Path(__file__).parents[1] / "programs" / "delayed_line.py"
DELAY_S = 0.02  # of a line, each way: without delay the order of two first packets hardly matters
INTERNET = "internet"
STUN = [f"--stun={address}:3478" for address in SERVER_ADDRESSES]

SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17  # linux/sockios.h, linux/ethtool.h


class Homes:
    """The internet of a fabric, and the homes at it."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        fabric.add_lan(INTERNET, public=True)
        self._core = fabric.add_host("core", INTERNET)
        self._core.exec("sysctl", "-qw", "net.ipv4.ip_forward=1")
        for address in SERVER_ADDRESSES:
            self._core.ip("addr", "add", f"{address}/32", "dev", "lo")
        self._count = 0

    def add_public(self, name: str) -> Host:
        """Adds a machine with a public address."""
        host = self._fabric.add_host(name, INTERNET)
        host.ip("route", "add", "default", "via", str(self._core.ipv4))
        return host

    def add_home(self, name: str, nat: str) -> tuple[Host, str]:
        """Adds a machine behind a router with these nftables rules. Returns it and the router's outside address."""
        self._count += 1
        home = f"home{self._count}"
        self._fabric.add_lan(home)
        router, line = self._fabric.add_host(f"{name}-router", home), self._fabric.add_host(f"{name}-line", home)
        network, port = f"44.64.{self._count}", f"port{self._count}"
        for end, device, inside in ((router, "wan", "left"), (self._core, port, "right")):
            far_end = ["name", inside, "netns", line.namespace]
            end.ip("link", "add", device, "type", "veth", "peer", *far_end)
            end.ip("addr", "add", f"{network}.{1 if end is self._core else 2}/24", "dev", device)
            run_inside(end.namespace, lambda device=device: _compute_checksums(device))  # type: ignore[misc]
            end.ip("link", "set", device, "up")
            line.ip("link", "set", inside, "up")
        mover = line.spawn(sys.executable, str(DELAYED_LINE), str(DELAY_S), "left", "right", name="line")
        wait_for(lambda: "running" in mover.output(), PATIENCE_S, "the line is there")
        router.exec("sysctl", "-qw", "net.ipv4.ip_forward=1")
        router.ip("route", "add", "default", "via", f"{network}.1")
        router.nft(nat)
        host = self._fabric.add_host(name, home)
        host.ip("route", "add", "default", "via", str(router.ipv4))
        return host, f"{network}.2"

    @contextmanager
    def stun_servers(self) -> Iterator[None]:
        """Serves STUN at the two addresses that the flags `STUN` name."""

        async def serve() -> AsyncIterator[None]:
            async with responding([(address, 3478) for address in SERVER_ADDRESSES]):
                yield

        with background(self._core.namespace, serve):
            yield


async def _compute_checksums(device: str) -> None:
    """Makes the kernel compute them itself: a packet socket gets what a device would have completed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        wanted = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, 0), 8)
        request = struct.pack("16sQ", device.encode(), ctypes.addressof(wanted)).ljust(40, b"\0")
        fcntl.ioctl(control, SIOCETHTOOL, request)
