"""A home router whose NAT lets in nothing that was not asked for, with the real `miniupnpd` on it.

      host ── lan [router] ── internet

Its NAT gives every destination another port (random ports), and lets in answers alone; so nobody outside reaches a
host at home first, unless a port is forwarded.
"""

from __future__ import annotations

import re
import shutil

from support.lab.swarm import INTERNET
from support.prerequisites import cannot_run
from support.waiting import PATIENCE_S
from wgmesh.demo.fabric import Fabric
from wgmesh.demo.host import Host
from wgmesh.demo.process import Process
from wgmesh.demo.waiting import wait_for

PCP, NAT_PMP, UPNP = "PCP", "NAT-PMP", "UPnP-IGD"

RULES = """
table inet miniupnpd {
  chain forward {
    type filter hook forward priority 0; policy accept;
    jump miniupnpd
    iifname "eth1" ct state new counter drop
  }
  chain input { type filter hook input priority 0; policy accept; iifname "eth1" ct state new counter drop; }
  chain prerouting { type nat hook prerouting priority dstnat; policy accept; jump prerouting_miniupnpd; }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    jump postrouting_miniupnpd
    meta nfproto ipv4 oifname "eth1" masquerade random,fully-random
  }
  chain miniupnpd { }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
table ip6 home {
  chain through { type filter hook forward priority 0; policy drop; }
}
"""
# A first byte of 2 is PCP's version: the router then speaks NAT-PMP only.
WITHOUT_PCP = """
table inet nopcp {
  chain input { type filter hook input priority 0; policy accept; udp dport 5351 @th,64,8 2 drop; }
}
"""


class HomeRouter:
    """A router between `lan` and the internet, and its `miniupnpd`."""

    def __init__(self, fabric: Fabric) -> None:
        if shutil.which("miniupnpd") is None:
            cannot_run("miniupnpd is not installed; run: make lab-tools")
        fabric.add_lan(INTERNET, public=True)
        self.host: Host = fabric.add_router("router", ["lan", INTERNET])
        self.outside = str(self.host.attachments[1].ipv4.ip)
        self.host.nft(RULES)

    def serve(self, protocol: str, claimed: str = "") -> Process:
        """Starts `miniupnpd` so that this protocol is the first that it answers.

        `claimed` is what it says of its external address, empty for the truth.
        """
        settings = {
            "ext_ifname": "eth1",
            "listening_ip": "eth0",
            "enable_natpmp": "no" if protocol == UPNP else "yes",
            "enable_upnp": "yes" if protocol == UPNP else "no",
            "secure_mode": "yes",
            "upnp_table_name": "miniupnpd",
            "upnp_nat_table_name": "miniupnpd",
            "upnp_forward_chain": "miniupnpd",
            "upnp_nat_chain": "prerouting_miniupnpd",
            "upnp_nat_postrouting_chain": "postrouting_miniupnpd",
            "uuid": "0f6f2f0a-2c4d-4a6e-9f35-6c9d6b0e7a11",
            "lease_file": str(self.host.directory / "leases"),
            "http_port": "0",
        }
        if claimed:
            settings["ext_ip"] = claimed
        rules = [
            f"allow 1024-65535 {self.host.attachments[0].ipv4.network} 1024-65535",
            "deny 0-65535 0.0.0.0/0 0-65535",
        ]
        path = self.host.directory / "miniupnpd.conf"
        path.write_text("\n".join([*(f"{name}={value}" for name, value in settings.items()), *rules, ""]))
        if protocol == NAT_PMP:
            self.host.nft(WITHOUT_PCP)
        pid_file = self.host.directory / "miniupnpd.pid"
        process = self.host.spawn("miniupnpd", "-d", "-f", str(path), "-P", str(pid_file), name="miniupnpd")
        wait_for(pid_file.exists, PATIENCE_S, "miniupnpd runs")
        return process

    def forwarded(self) -> set[int]:
        """The UDP ports that it forwards."""
        rules = self.host.exec("nft", "-n", "list", "chain", "inet", "miniupnpd", "prerouting_miniupnpd")
        return {int(port) for port in re.findall(r"dport (\d+)", rules) if "dnat" in rules}

    def refused_count(self) -> int:
        """How many packets from outside it has let in neither to itself nor to a host at home."""
        chains = [self.host.exec("nft", "list", "chain", "inet", "miniupnpd", name) for name in ("input", "forward")]
        return sum(int(count) for chain in chains for count in re.findall(r"counter packets (\d+)", chain))
