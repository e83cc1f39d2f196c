"""Who hears what: a UDP listener on a machine of the lab, and words sent to it from any address."""

from __future__ import annotations

import sys
from ipaddress import ip_address
from itertools import count

from support.waiting import PATIENCE_S
from wgmesh.demo.host import Host
from wgmesh.demo.waiting import wait_for

PORT = 7007
_numbers = count(1)

_LISTEN = """
import socket
heard = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
heard.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
heard.bind(("::", {port}))
print("listening", flush=True)
while True:
    print(heard.recv(100).decode(), flush=True)
"""
_SAY = """
import socket, sys
source, destination, word = sys.argv[1:]
speaker = socket.socket(socket.AF_INET6 if ":" in destination else socket.AF_INET, socket.SOCK_DGRAM)
if source:
    speaker.bind((source, 0))
try:
    speaker.sendto(word.encode(), (destination, {port}))
except PermissionError:  # its own firewall
    print("refused")
"""


class Listener:
    """Hears every UDP datagram to its port, of any address of the machine."""

    def __init__(self, host: Host) -> None:
        self._process = host.spawn(sys.executable, "-c", _LISTEN.format(port=PORT), name=f"listener-{next(_numbers)}")
        wait_for(lambda: self.has_heard("listening"), PATIENCE_S, f"{host.name} listens")

    def has_heard(self, word: str) -> bool:
        return word in self._process.output().splitlines()


def say(host: Host, word: str, to: str, source: str = "") -> None:
    """Sends one word. `source` is an address that the machine has, also of loopback: so addresses are forged."""
    host.exec(sys.executable, "-c", _SAY.format(port=PORT), source, to, word)


def saying(word: str, to: str) -> str:
    """The shell command that does the same, for what has to come at once after something else."""
    device = "udp6" if ip_address(to).version == 6 else "udp"
    return f"bash -c 'echo -n {word} >/dev/{device[:3]}/{to}/{PORT}' || true"
