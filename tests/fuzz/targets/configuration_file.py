"""cli/configuration.py: the TOML file of an operator."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from fuzz.rules import accepted
from support.discovery.discovery_wire import SECRET
from wgmesh.cli.configuration import build_settings, read_configuration
from wgmesh.core.errors import InvalidSetting
from wgmesh.core.keys.keyschedule import derive

LAYOUT = derive(SECRET).layout

WORDS = (b"listen-port = ", b"mesh-subnet = ", b"advertise-routes = [", b"peer = [", b"interface = ", b'"""', b"true",
         b"2021-01-01T00:00:00Z", b"0x7fffffff", b"inf", b"stun-server = [", b"mtu = ", b"log-level = ")  # fmt: skip


def seeds() -> Iterable[bytes]:
    yield b'listen-port = 51821\ninterface = "wg1"\nmesh_subnet = "10.9.0.0/16"\nadvertise-routes = ["10.1.0.0/24"]\n'
    yield b'peer = ["host.example:4000", "192.0.2.1"]\ngossip = true\nno-lan-discovery = true\nmtu = 1300\n'
    yield b'secret = "x"\n'
    yield b"listen-port = " + b"9" * 100
    yield b"a = " + b"[" * 50 + b"]" * 50
    yield b"mtu = " + b"[" * 5000
    yield b"mtu = " + b"{a=" * 5000
    yield b"a" + b".a" * 5000 + b" = 1"
    yield b'metrics = "' + b"[" * 5000 + b'"'
    yield b"k" * 60_000 + b" = 1"
    yield b"mtu = 0x" + b"f" * 5000
    yield b"mtu = " + b"9" * 5000
    yield b'log-level = "debug"\nlog-format = "json"\notlp-endpoint = "http://h:1"\nmetrics = "127.0.0.1:9"\n'
    yield b"date = 2021-02-30\n[table]\nx = {y = 1}\n"


def check(data: bytes) -> None:
    path = _file()
    path.write_bytes(data)
    given = accepted(lambda: read_configuration(path), InvalidSetting)
    if given is not None:
        accepted(lambda: build_settings(LAYOUT, "machine", {}, {}, given), InvalidSetting)


@cache
def _file() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz-")) / "wgmesh.toml"
