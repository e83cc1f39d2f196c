"""A private Mainline swarm on a fabric: machines on an internet of their own, two of them with foreign programs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.process import Process
from wgmesh.demo.waiting import wait_for

PORT = 6881
DHT_NODE = Path(__file__).parents[1] / "programs" / "dht_node.py"
LYING_DHT_NODE = Path(__file__).parents[1] / "programs" / "lying_dht_node.py"
INTERNET = "internet"
# aria2 runs only while it has something to fetch; nobody has this.
NOTHING = "magnet:?xt=urn:btih:00000000000000000000000000000000deadbeef"


class Swarm:
    """Seven nodes: five of libtorrent, `transmission-daemon` and `aria2c`. The first is everybody's way in."""

    def __init__(self, fabric: Fabric) -> None:
        """Adds the internet, its machines and a router to it; the router serves LANs that were added before."""
        fabric.add_lan(INTERNET, public=True)
        self.hosts = fabric.add_hosts([f"dht{number}" for number in range(7)], INTERNET)
        self.bootstrap = f"{self.hosts[0].ipv4}:{PORT}"
        self._fabric = fabric
        self._nodes: list[Process] = []

    def start(self) -> None:
        """Starts all nodes and waits until they know each other."""
        missing = [program for program in ("transmission-daemon", "aria2c") if shutil.which(program) is None]
        if missing:
            raise RuntimeError(f"the swarm needs {' and '.join(missing)}; `make lab-tools` installs what is missing")
        self._nodes = [self._start_node(self.hosts[0])]
        wait_for(lambda: _listens(self.hosts[0]), PATIENCE_S, "the way in is open")
        self._nodes += [self._start_node(host) for host in self.hosts[1:5]]
        self._nodes.append(_start_transmission(self.hosts[5], str(self.hosts[0].ipv4)))
        self._nodes.append(_start_aria2(self.hosts[6], self.bootstrap))
        for host in self.hosts:
            wait_for(lambda host=host: _listens(host), PATIENCE_S, f"{host.name} listens")  # type: ignore[misc]
        wait_for(
            lambda: all("warm" in node.output() for node in self._nodes[:5]), PATIENCE_S, "the nodes know each other"
        )

    def _start_node(self, host: Host) -> Process:
        return host.spawn(sys.executable, str(DHT_NODE), str(host.ipv4), str(PORT), self.bootstrap, name="dht")

    def add_liars(self, count: int) -> list[str]:
        """Starts as many nodes that lie, on machines of their own. Returns their addresses."""
        hosts = self._fabric.add_hosts([f"liar{number}" for number in range(count)], INTERNET)
        for host in hosts:
            liar = host.spawn(
                sys.executable, str(LYING_DHT_NODE), str(host.ipv4), str(PORT), self.bootstrap, name="dht"
            )
            wait_for(lambda liar=liar: "lying" in liar.output(), PATIENCE_S, f"{host.name} lies")  # type: ignore[misc]
        return [f"{host.ipv4}:{PORT}" for host in hosts]

    @property
    def keepers(self) -> list[str]:
        """The addresses of the nodes that keep items: the two foreign programs know nothing of BEP 44."""
        return [f"{host.ipv4}:{PORT}" for host in self.hosts[:5]]

    def kill(self, numbers: Sequence[int]) -> None:
        """Kills these nodes, at once."""
        for number in numbers:
            self._nodes[number].kill()

    def kill_bootstrap(self) -> None:
        """Kills the node that everybody enters through."""
        self.kill([0])


def _listens(host: Host) -> bool:
    return f":{PORT}" in host.exec("ss", "-uanH")


def _start_transmission(host: Host, bootstrap: str) -> Process:
    directory = host.directory / "transmission"
    directory.mkdir()
    settings = {
        "bind-address-ipv4": str(host.ipv4),
        "peer-port": PORT,
        "dht-enabled": True,
        "lpd-enabled": False,
        "port-forwarding-enabled": False,
        "rpc-enabled": False,
        "download-dir": str(directory),
    }
    (directory / "settings.json").write_text(json.dumps(settings))
    (directory / "dht.bootstrap").write_text(f"{bootstrap} {PORT}\n")
    return host.spawn("transmission-daemon", "-f", "-g", str(directory), name="transmission")


def _start_aria2(host: Host, bootstrap: str) -> Process:
    directory = host.directory / "aria2"
    directory.mkdir()
    return host.spawn(
        "aria2c",
        f"--dir={directory}",
        f"--dht-file-path={directory}/dht.dat",
        f"--dht-listen-port={PORT}",
        f"--listen-port={PORT}",
        f"--dht-entry-point={bootstrap}",
        f"--interface={host.ipv4}",
        "--enable-dht=true",
        "--bt-enable-lpd=false",
        "--no-conf=true",
        "--bt-tracker=",
        NOTHING,
        name="aria2",
    )
