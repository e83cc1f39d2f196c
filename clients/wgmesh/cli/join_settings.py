"""The table of `join`'s settings. Flags, variables, file keys, help and the reference manual follow from it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from wgmesh.cli import values
from wgmesh.cli.interface_name import parse_interface_name
from wgmesh.core.settings import DEFAULT_DHT_BOOTSTRAP


class Setting(NamedTuple):
    """One setting of `join`.

    `name` is the flag without its dashes and the key in the file. `field` is the attribute of MeshSettings, empty where
    the setting is only checked. A switch has no `metavar` and sets `field` to `value_if_set`.
    """

    name: str
    field: str
    parse: Callable[[str], object]
    help: str
    metavar: str = ""
    default: str = ""
    short: str = ""
    repeatable: bool = False
    value_if_set: bool = True
    variable_name: str = ""

    @property
    def flag(self) -> str:
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        return self.variable_name or "WGMESH_" + self.name.upper().replace("-", "_")

    @property
    def is_switch(self) -> bool:
        return not self.metavar

    @property
    def is_list(self) -> bool:
        """Whether one text may hold several values, parted by commas."""
        return self.metavar.endswith(",...")


def _switch(name: str, field: str, help: str, value_if_set: bool = True) -> Setting:
    return Setting(name, field, values.parse_switch, help, value_if_set=value_if_set)


DEFAULT_PORT_WORD = "0"  # upstream takes it for the default


def _listen_port(text: str) -> int:
    return 51820 if text == DEFAULT_PORT_WORD else values.parse_port(text)


SETTINGS: tuple[Setting, ...] = (
    Setting("interface", "interface", parse_interface_name, "Name of the WireGuard device.", "NAME", "wg0", "-i"),
    Setting("hostname", "hostname", values.parse_hostname, "Name shown to other nodes.", "NAME", "the host's name"),
    Setting(
        "listen-port",
        "listen_port",
        _listen_port,
        "WireGuard's UDP port; the next free one if it is taken.",
        "PORT",
        "51820",
    ),
    Setting("mtu", "mtu", values.parse_mtu, "MTU of the device.", "BYTES", "1420"),
    Setting(
        "mesh-subnet",
        "mesh_subnet",
        values.parse_mesh_subnet,
        "IPv4 network of the mesh; the same on every node.",
        "CIDR",
        "from the secret",
    ),
    Setting(
        "advertise-routes",
        "advertise_routes",
        values.parse_routes,
        "Networks behind this node, parted by commas.",
        "CIDR,...",
        "none",
        repeatable=True,
    ),
    Setting(
        "accept-routes",
        "accept_routes",
        values.parse_accepted_routes,
        "Route only networks of others inside these; `private` is a list, `all` means all that do this host no harm.",
        "CIDR,...",
        "private",
        repeatable=True,
    ),
    Setting(
        "peer",
        "static_peers",
        str,
        "Address of a node to call at start; may be repeated.",
        "HOST[:PORT]",
        "none",
        repeatable=True,
    ),
    _switch("no-lan-discovery", "lan_discovery", "Do not look for nodes with multicast.", value_if_set=False),
    Setting(
        "underlay",
        "underlay",
        values.parse_link_name,
        "Interfaces that carry the mesh, these alone; without it all but tunnels do.",
        "IFACE,...",
        "none",
        repeatable=True,
    ),
    Setting(
        "no-underlay",
        "no_underlay",
        values.parse_link_name,
        "Interfaces that do not carry the mesh.",
        "IFACE,...",
        "none",
        repeatable=True,
    ),
    _switch("introducer", "introducer", "Arrange meetings for nodes that cannot reach each other; others are told."),
    _switch("no-dht", "dht", "Do not use the BitTorrent DHT.", value_if_set=False),
    Setting(
        "dht-bootstrap",
        "dht_bootstrap",
        values.parse_host_with_port,
        "First contacts of the BitTorrent DHT, in place of the built-in ones.",
        "HOST:PORT,...",
        ", ".join(DEFAULT_DHT_BOOTSTRAP),
        repeatable=True,
    ),
    Setting(
        "private-dht",
        "private_dht",
        values.parse_host_with_port,
        "First contacts of a DHT of your own; the BitTorrent DHT then stays off.",
        "HOST:PORT,...",
        "none",
        repeatable=True,
    ),
    _switch(
        "gossip", "gossip", "Hear and send upstream's gossip; nodes of this program gossip among themselves anyway."
    ),
    _switch("no-ipv6", "ipv6", "Ignore IPv6 endpoints.", value_if_set=False),
    _switch("no-punching", "punching", "Do not punch holes through NATs.", value_if_set=False),
    _switch("no-port-mapping", "port_mapping", "Do not ask the router to forward ports.", value_if_set=False),
    _switch("no-stun", "stun", "Do not ask STUN servers for the own address.", value_if_set=False),
    Setting(
        "stun",
        "stun_servers",
        partial(values.parse_host_port, default_port=values.DEFAULT_STUN_PORT),
        "STUN server; repeat it for a second one, which the NAT type needs.",
        "HOST[:PORT]",
        "stun.l.google.com:19302, stun.cloudflare.com:3478",
        repeatable=True,
    ),
    Setting(
        "state-dir", "state_dir", values.parse_path, "Directory for keys and the peer cache.", "DIR", "/var/lib/wgmesh"
    ),
    Setting("runtime-dir", "runtime_dir", values.parse_path, "Directory for sockets and locks.", "DIR", "/run/wgmesh"),
    Setting(
        "socket-path",
        "socket_path",
        values.parse_path,
        "Control socket.",
        "PATH",
        "RUNTIME-DIR/INTERFACE/node.sock",
        variable_name="WGMESH_SOCKET",
    ),
    _switch("keep-interface", "keep_interface", "Leave the device, its addresses and routes on exit."),
    Setting(
        "metrics",
        "metrics_address",
        values.parse_listen_address,
        "Serve Prometheus metrics; a port alone listens on loopback.",
        "[HOST]:PORT",
        "off",
    ),
    Setting(
        "otlp-endpoint",
        "otlp_endpoint",
        values.parse_otlp_endpoint,
        "Send traces and metrics to an OpenTelemetry backend.",
        "HOST:PORT",
        "off",
    ),
    _switch("debug-rpc", "debug_rpc", "Let tools such as grpcurl ask every socket of the node what it serves."),
    _switch(
        "insecure-single-user",
        "single_user",
        "Run all processes as root's user, where they cannot have users of their own.",
    ),
    Setting("log-level", "log_level", values.parse_log_level, "debug, info, warn or error.", "LEVEL", "info"),
    Setting("log-format", "log_format", values.parse_log_format, "text or json.", "FORMAT", "text"),
)

_WHY_NOT_YET = "is not in this version yet; leave it out"

# Flags of upstream that this version cannot honour, and the sentence that says so. None of them is a silent no-op.
REFUSED: dict[str, str] = {
    "force-relay": f"relaying {_WHY_NOT_YET}",
    "privacy": "it changes nothing in upstream either, so it is refused rather than pretended; leave it out",
    "account": f"managed ingress {_WHY_NOT_YET}",
    "pprof": "it profiles Go programs; use --metrics or --otlp-endpoint",
    "referral": "referral codes are not part of a mesh; leave it out",
}
REFUSED_SWITCHES = frozenset({"force-relay", "privacy"})


def setting(name: str) -> Setting | None:
    """Returns the row with this name, or None."""
    return next((row for row in SETTINGS if row.name == name), None)
