"""A small internet in network namespaces: a client, a router with a chosen NAT, and a host with two public addresses.

      client 192.168.7.2  ──  lan [router] wan 44.130.0.1  ──  net0 [internet] 44.128.1.1, 44.129.1.1

44.128.0.0/9 counts as public in Python's `ipaddress`. Names carry the pid of the run; nothing leaves the namespaces.
Needs root.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from pyroute2 import netns
from support.waiting import PATIENCE_S

T = TypeVar("T")

SERVER_ADDRESSES = ("44.128.1.1", "44.129.1.1")
CLIENT_ADDRESS = "192.168.7.2"
PUBLIC_CLIENT_ADDRESS = "44.130.5.2"
WAN_ADDRESS = "44.130.0.1"

# Without the input drop an unsolicited packet makes a connection entry that pushes the client to another port.
_INPUT_DROP = "chain input { type filter hook input priority 0; policy accept; iifname wan ct state new drop; }\n"
_POSTROUTING = "chain post { type nat hook postrouting priority srcnat; policy accept; oifname wan masquerade %s; }\n"
CONE = f"table ip nat {{ {_POSTROUTING % ''} {_INPUT_DROP} }}\n"
# Just that: what most guides to a home router show.
REMEMBERS = f"table ip nat {{ {_POSTROUTING % ''} }}\n"
RESTRICTED_CHANGING = (
    "table ip nat { chain post { type nat hook postrouting priority srcnat; policy accept;"
    f" oifname wan udp sport 51820 masquerade to :40000; oifname wan masquerade; }}\n{_INPUT_DROP} }}\n"
)
SYMMETRIC = f"table ip nat {{ {_POSTROUTING % 'random,fully-random'} {_INPUT_DROP} }}\n"
_NEXT_PORTS = ",".join(f"{number}:{20000 + number}" for number in range(4096))
SEQUENTIAL = (
    "table ip nat { chain post { type nat hook postrouting priority srcnat; policy accept;"
    f" oifname wan ip protocol udp snat to {WAN_ADDRESS} : numgen inc mod 4096 map {{ {_NEXT_PORTS} }}\n}}\n"
    f"{_INPUT_DROP} }}\n"
)
PORT_CHANGING = (
    "table ip nat { chain pre { type nat hook prerouting priority dstnat; policy accept;"
    f" iifname wan udp dport 40000 dnat to {CLIENT_ADDRESS}:51820; }}\n"
    " chain post { type nat hook postrouting priority srcnat; policy accept;"
    f" oifname wan ip saddr {CLIENT_ADDRESS} udp sport 51820 snat to {WAN_ADDRESS}:40000; oifname wan masquerade; }}\n"
    f"{_INPUT_DROP} }}\n"
)

NO_UDP = "table inet no_udp { chain forward { type filter hook forward priority 0; meta l4proto udp drop; }\n}\n"

_CAP_NET_RAW = 13  # linux/capability.h
_CAPABILITY_VERSION = 0x20080522  # capget(2), version 3

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class NatLab:
    """The names of the three namespaces and the client's own address."""

    client: str
    router: str
    internet: str
    client_address: str


@contextmanager
def nat_lab(ruleset: str | None) -> Iterator[NatLab]:
    """Builds the network with an nftables rule set on the router; None gives the client a public address."""
    client_address = CLIENT_ADDRESS if ruleset else PUBLIC_CLIENT_ADDRESS
    gateway = client_address.rpartition(".")[0] + ".1"
    prefix = f"nat{os.getpid()}-{next(_numbers)}"
    lab = NatLab(f"{prefix}c", f"{prefix}r", f"{prefix}i", client_address)
    try:
        for name in (lab.client, lab.router, lab.internet):
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _join(lab.client, "eth0", f"{client_address}/24", lab.router, "lan", f"{gateway}/24")
        _join(lab.router, "wan", f"{WAN_ADDRESS}/24", lab.internet, "net0", "44.130.0.254/24")
        for address in SERVER_ADDRESSES:
            _ip("-n", lab.internet, "addr", "add", f"{address}/32", "dev", "lo")
        _ip("-n", lab.client, "route", "add", "default", "via", gateway)
        _ip("-n", lab.router, "route", "add", "default", "via", "44.130.0.254")
        _ip("-n", lab.internet, "route", "add", "44.130.5.0/24", "via", WAN_ADDRESS)
        call(lab.router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        if ruleset:
            call(lab.router, "nft", "-f", "-", stdin=ruleset)
        yield lab
    finally:
        for name in (lab.client, lab.router, lab.internet):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True, timeout=PATIENCE_S)


def call(name: str, *words: str, stdin: str = "") -> str:
    """Runs a command inside a namespace and returns its output. Raises CalledProcessError."""
    command = ["ip", "netns", "exec", name, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, input=stdin, timeout=PATIENCE_S).stdout


def run_inside(name: str, body: Callable[[], Coroutine[Any, Any, T]], *, net_raw: bool = True) -> T:
    """Runs a coroutine function to its end on an event loop whose sockets belong to the namespace.

    Without `net_raw` the thread has given up CAP_NET_RAW first.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def thread() -> None:
        try:
            netns.setns(name)
            if not net_raw:
                _drop_capability(_CAP_NET_RAW)
            results.append(asyncio.run(body()))
        except BaseException as error:  # handed to the caller's thread below
            errors.append(error)

    worker = threading.Thread(target=thread)
    worker.start()
    worker.join()
    if errors:
        raise errors[0]
    return results[0]


@contextmanager
def background(name: str, service: Callable[[], AsyncIterator[object]]) -> Iterator[None]:
    """Keeps an asynchronous generator of one value running inside a namespace while the body runs."""
    started = threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []
    errors: list[BaseException] = []
    finished: list[asyncio.Event] = []

    async def body() -> None:
        loops.append(asyncio.get_running_loop())
        finished.append(asyncio.Event())
        async with asynccontextmanager(service)():
            started.set()
            await finished[0].wait()

    def thread() -> None:
        try:
            run_inside(name, body)
        except BaseException as error:  # raised in the caller's thread below
            errors.append(error)
        finally:
            started.set()

    worker = threading.Thread(target=thread)
    worker.start()
    started.wait(timeout=PATIENCE_S)
    try:
        if errors:
            raise errors[0]
        yield
    finally:
        if finished and not errors:
            loops[0].call_soon_threadsafe(finished[0].set)
        worker.join()


def _join(left: str, left_link: str, left_address: str, right: str, right_link: str, right_address: str) -> None:
    _ip("link", "add", left_link, "netns", left, "type", "veth", "peer", "name", right_link, "netns", right)
    for name, link, address in ((left, left_link, left_address), (right, right_link, right_address)):
        _ip("-n", name, "addr", "add", address, "dev", link)
        _ip("-n", name, "link", "set", link, "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=PATIENCE_S)


def _drop_capability(number: int) -> None:
    """Removes one of the first 32 capabilities from the effective set of the calling thread (capset(2))."""
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION, 0))
    data = ctypes.create_string_buffer(24)
    if _libc.capget(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    effective, *others = struct.unpack("6I", data.raw)
    changed = ctypes.create_string_buffer(struct.pack("6I", effective & ~(1 << number), *others))
    if _libc.capset(header, changed) != 0:
        raise OSError(ctypes.get_errno(), "capset")
