"""Parsers of single settings. Each takes a text and returns a value, or raises ValueError with what is wrong."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from wgmesh.core.hostname import normalised_hostname
from wgmesh.core.model import IPNetwork
from wgmesh.core.settings import EVERYTHING, PRIVATE_NETWORKS

LOWEST_MTU = 1280  # RFC 8200, section 5: below it Linux takes IPv6 off a device
HIGHEST_MTU = 65455  # 65535 minus the 80 bytes of outer IPv6, UDP and WireGuard headers
LONGEST_MESH_PREFIX = 30  # two host bits, as upstream asks
LONGEST_DNS_NAME = 253  # RFC 1035, section 2.3.4, as text
LONGEST_LINK_NAME = 15  # Linux, IFNAMSIZ less the terminating zero
DEFAULT_STUN_PORT = 3478  # RFC 8489, section 9

_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_LEVELS = {"debug": "debug", "info": "info", "warn": "warning", "warning": "warning", "error": "error"}
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")  # RFC 1123, and the underscore that real names have
_NEVER_ROUTED = tuple(
    ipaddress.ip_network(text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/127", "fe80::/10", "ff00::/8")
)

_ACCEPT_WORDS: dict[str, tuple[IPNetwork, ...]] = {
    "private": PRIVATE_NETWORKS,
    "all": EVERYTHING,
    "none": (),
}


def parse_switch(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def parse_whole_number(text: str, lowest: int, highest: int) -> int:
    if not (text.isascii() and text.isdigit() and lowest <= int(text[:10]) <= highest and len(text) <= 10):
        raise ValueError(f"{text!r} is not a whole number from {lowest} to {highest}")
    return int(text)


def parse_port(text: str) -> int:
    return parse_whole_number(text, 1, 65535)


def parse_mtu(text: str) -> int:
    return parse_whole_number(text, LOWEST_MTU, HIGHEST_MTU)


def parse_path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError("the path is empty" if not text else "a path cannot hold a zero byte")
    return Path(text).expanduser().absolute()


def parse_link_name(text: str) -> str:
    """The name of any interface of this host, as the kernel takes it (dev_valid_name of linux/netdevice.h)."""
    name = text.strip()
    is_plain = bool(name) and all("!" <= sign <= "~" for sign in name) and name not in (".", "..")
    if not is_plain or len(name) > LONGEST_LINK_NAME or any(sign in name for sign in "/:"):
        raise ValueError(f"{text!r} is not the name of an interface such as eth0")
    return name


def parse_hostname(text: str) -> str:
    """The name as a mesh carries it (wgmesh.core.hostname); one of which nothing is left is refused."""
    name = normalised_hostname(text)
    if not name:
        raise ValueError(f"{text!r} has no letter or digit that a name in a mesh could have")
    return name


def parse_log_level(text: str) -> str:
    if text.lower() not in _LEVELS:
        raise ValueError(f"{text!r} is not one of debug, info, warn, error")
    return _LEVELS[text.lower()]


def parse_log_format(text: str) -> str:
    if text not in ("text", "json"):
        raise ValueError(f"{text!r} is neither text nor json")
    return text


def parse_mesh_subnet(text: str) -> ipaddress.IPv4Network:
    """An IPv4 network with at least two host bits; host bits are cleared."""
    address, slash, _ = text.partition("/")
    if ":" in address:
        raise ValueError(f"{text!r} is IPv6; the mesh's IPv6 prefix always follows from the secret")
    network = _network(text) if slash else None
    if not isinstance(network, ipaddress.IPv4Network):
        raise ValueError(f"{text!r} is not an IPv4 network such as 10.55.0.0/16")
    if network.prefixlen > LONGEST_MESH_PREFIX:
        raise ValueError(f"{network} is too small; use /{LONGEST_MESH_PREFIX} or larger")
    if any(network.overlaps(reserved) for reserved in _NEVER_ROUTED if reserved.version == 4):
        raise ValueError(f"{network} overlaps addresses that are reserved; use a private network such as 10.55.0.0/16")
    return network


def parse_routes(text: str) -> tuple[IPNetwork, ...]:
    """A list of networks parted by commas: host bits cleared, repeats dropped, in the given order.

    Default routes and networks that no machine can be behind are refused.
    """
    return tuple(dict.fromkeys(_route(item.strip()) for item in text.split(",") if item.strip()))


def parse_accepted_routes(text: str) -> tuple[IPNetwork, ...]:
    """A list of networks parted by commas, or of the words `private`, `all` and `none`; host bits are cleared.

    What no peer may ever take over is refused elsewhere, so `all` is no danger to the host's own routes. A network that
    is named here counts for itself, also where it is so wide that `all` would not do.
    """
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items:
        raise ValueError("no network is given; `none` accepts no routes")
    if "none" in items and len(items) > 1:
        raise ValueError("`none` stands alone")
    accepted: dict[IPNetwork, None] = {}
    for item in items:
        accepted |= dict.fromkeys(_ACCEPT_WORDS[item] if item in _ACCEPT_WORDS else (_route(item),))
    return tuple(accepted)


def parse_host_with_port(text: str) -> str:
    """`HOST:PORT`, `1.2.3.4:PORT` or `[v6]:PORT`; the port has to be said."""
    host, port = split_host_port(text)
    if not port:
        raise ValueError(f"{text.strip()!r} has no port; write HOST:PORT")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_host_port(text: str, default_port: int) -> str:
    """`HOST`, `HOST:PORT`, `1.2.3.4:PORT`, `[v6]:PORT` or a bare IPv6 address; returns it with its port."""
    host, port = split_host_port(text)
    return f"[{host}]:{port or default_port}" if ":" in host else f"{host}:{port or default_port}"


def split_host_port(text: str) -> tuple[str, int]:
    """Host without brackets, and port, which is 0 if there is none."""
    host, port = _split_port(text.strip())
    return host, parse_port(port) if port else 0


def parse_listen_address(text: str) -> str:
    """`PORT` or `:PORT` mean loopback; `0.0.0.0:PORT` has to be said."""
    port = text.removeprefix(":")
    if port.isdigit():
        return f"127.0.0.1:{parse_port(port)}"
    host, port = _split_port(text)
    if not port:
        raise ValueError(f"{text!r} has no port; write for example :9090")
    return f"[{host}]:{parse_port(port)}" if ":" in host else f"{host}:{parse_port(port)}"


def parse_otlp_endpoint(text: str) -> str:
    """`HOST:PORT`, or the same as an http or https URL."""
    scheme, separator, rest = text.rpartition("://")
    if separator and scheme not in ("http", "https"):
        raise ValueError(f"{text!r} is not HOST:PORT, http://HOST:PORT or https://HOST:PORT")
    host, port = _split_port(rest.rstrip("/"))
    if not port:
        raise ValueError(f"{text!r} has no port; OTLP over gRPC listens on 4317")
    parse_port(port)
    return f"{scheme or 'http'}://{rest.rstrip('/')}" if ":" not in host else f"{scheme or 'http'}://[{host}]:{port}"


def _split_port(text: str) -> tuple[str, str]:
    """Host without brackets and port, which is empty if there is none."""
    if text.startswith("["):
        host, bracket, tail = text[1:].partition("]")
        if not bracket or not _is_ipv6(host) or (tail and not tail.startswith(":")) or tail == ":":
            raise ValueError(f"{text!r} is not [IPv6]:PORT")
        return host, tail[1:]
    if text.count(":") > 1:
        if not _is_ipv6(text):
            raise ValueError(f"{text!r} is not HOST:PORT; an IPv6 address before a port stands in brackets")
        return text, ""
    host, colon, port = text.partition(":")
    if not (_is_ipv4(host) or _is_host_name(host)) or (colon and not port):
        raise ValueError(f"{text!r} is not HOST:PORT")
    return host, port


def _route(text: str) -> IPNetwork:
    network = _network(text) if "/" in text else None
    if network is None:
        raise ValueError(f"{text!r} is not a network such as 192.168.1.0/24")
    if network.prefixlen == 0:
        raise ValueError(f"{network} is a default route; a mesh never takes over the way to the Internet")
    if any(_overlap(network, reserved) for reserved in _NEVER_ROUTED):
        raise ValueError(f"{network} overlaps loopback, link-local or multicast addresses")
    return network


def _network(text: str) -> IPNetwork | None:
    """Parses ADDRESS/BITS and clears host bits; None for anything else, a netmask after the slash included."""
    _, _, bits = text.partition("/")
    if not (bits.isascii() and bits.isdigit()) or "%" in text:  # an interface of this machine means nothing to others
        return None
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        return None  # the kernel routes such packets as IPv4, so the route would never be used
    return network


def _overlap(one: IPNetwork, other: IPNetwork) -> bool:
    if isinstance(one, ipaddress.IPv4Network):
        return isinstance(other, ipaddress.IPv4Network) and one.overlaps(other)
    return isinstance(other, ipaddress.IPv6Network) and one.overlaps(other)


def overlapping(routes: tuple[IPNetwork, ...], meshes: tuple[IPNetwork, ...]) -> tuple[IPNetwork, IPNetwork] | None:
    """The first route that overlaps one of the mesh's networks, with that network; None if there is none."""
    return next(((route, mesh) for route in routes for mesh in meshes if _overlap(route, mesh)), None)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_host_name(text: str) -> bool:
    """RFC 1123 names; digits and dots alone would be a broken IPv4 address."""
    labels = text.removesuffix(".").split(".")
    all_digits = text.replace(".", "").isdigit()
    return len(text) <= LONGEST_DNS_NAME and not all_digits and all(_LABEL.fullmatch(label) for label in labels)
