"""Links, addresses and routes through rtnetlink."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from wgmesh.core.errors import DeviceUnavailable, MeshError, NotSupported, PermissionDenied
from wgmesh.core.model import IPAddress, IPInterface, IPNetwork
from wgmesh.runtime.netlink import AsyncIPRoute, NetlinkError
from wgmesh.wireguard.admission import ForeignRoute, ForeignRoutes
from wgmesh.wireguard.device import DeviceGone
from wgmesh.wireguard.ways import Way

# Marks our routes, so that nobody else's are ever taken for ours. iproute2's rt_protos gives names up to 99 and from
# 186 (FRR's bgp) to 192; nothing known uses the numbers in between.
ROUTE_PROTOCOL = 157

# What somebody else adds later for the same network wins at once, before anybody has noticed it: network managers give
# metrics up to some thousands, and 20000 more to what has no connection to the Internet.
MESH_METRIC = 30000

_MAIN_TABLE = 254  # rtnetlink(7), RT_TABLE_MAIN
_LOCAL_TABLE = 255  # rtnetlink(7), RT_TABLE_LOCAL: the host's own addresses
_TO_TABLE = 1  # linux/fib_rules.h, FR_ACT_TO_TBL
_NO_PREFIX_ROUTE = 0x200  # linux/if_addr.h, IFA_F_NOPREFIXROUTE
_KERNEL_PROTOCOL = 2  # rtnetlink(7), RTPROT_KERNEL: routes that come with an address
_UP = 0x1  # netdevice(7), IFF_UP
_SCOPE_LINK = 253
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_ROUTE_TYPES = {6: "a blackhole route", 7: "an unreachable route", 8: "a prohibiting route", 9: "a throw route"}
_UNICAST = 1
_LOCAL = 2
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL)  # also of prohibit and blackhole routes
_USUAL_RULES = frozenset({(0, _LOCAL_TABLE), (32766, _MAIN_TABLE), (32767, 253)})  # ip-rule(8): local, main and default
_LINK_LOCAL = ipaddress.ip_network("fe80::/10")


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface. `kind` is the kernel's word (wireguard, tun, veth ...), empty for hardware."""

    name: str
    index: int
    kind: str
    mtu: int
    up: bool


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes of the host: ours on behalf of peers, ours to the mesh, and those of others.

    `ruled` are the IP versions in which a rule may have something else looked up before the main table.
    """

    own: frozenset[IPNetwork]
    mesh: frozenset[IPNetwork]
    foreign: ForeignRoutes
    ruled: frozenset[int]


class Links:
    """The rtnetlink socket. Raises DeviceUnavailable, PermissionDenied and NotSupported."""

    def __init__(self, netlink: AsyncIPRoute) -> None:
        self._netlink = netlink

    async def find(self, name: str) -> Link | None:
        return await self._link(f"look at interface {name}", ifname=name)

    async def at(self, index: int) -> Link | None:
        """The interface with this number, whatever its name is now."""
        return await self._link(f"look at interface {index}", index=index)

    async def _link(self, doing: str, **chosen: object) -> Link | None:
        try:
            (message,) = await self._netlink.link("get", **chosen)
        except NetlinkError as error:
            if error.code == errno.ENODEV:
                return None
            raise translate(error, doing) from None
        return Link(
            message.get_attr("IFLA_IFNAME"),
            message.get("index"),
            message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "",
            message.get_attr("IFLA_MTU"),
            bool(message.get("flags") & _UP),
        )

    async def addresses(self, index: int) -> tuple[IPInterface, ...]:
        """Returns the addresses in a stable order, without IPv6 link-local ones, which are the kernel's own."""
        found: set[IPInterface] = set()
        with translated("read the addresses"):
            async for message in await self._netlink.get_addr(index=index):
                if message.get("index") != index:
                    continue
                # For a point-to-point device IFA_ADDRESS is the other end, and IFA_LOCAL is missing in IPv6.
                text = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
                address = ipaddress.ip_interface(f"{text}/{message.get('prefixlen')}")
                if address.ip not in _LINK_LOCAL:
                    found.add(address)
        return tuple(sorted(found, key=lambda address: (address.version, int(address.ip))))

    async def routes(self, index: int | None, mesh: Sequence[IPNetwork]) -> Routes:
        """Returns all routes. `index` is our interface, None while there is none; `mesh` the mesh's networks.

        A route of the kernel's to the mesh through our interface is ours too: it came with an address of ours.
        """
        tables, ruled = await self._rules()
        own: dict[bool, set[IPNetwork]] = {False: set(), True: set()}
        routes: list[ForeignRoute] = []
        addresses: list[ForeignRoute] = []
        gateways: set[IPAddress] = set()
        async for message in self._all_routes():
            gateways.update(_gateways(message, index))
            table, kind = message.get_attr("RTA_TABLE"), message.get("type")
            if table not in tables or (table == _LOCAL_TABLE) is not (kind == _LOCAL):
                continue
            network = _destination(message)
            for interface in _interfaces(message):
                if interface == index and table == _MAIN_TABLE:
                    is_mesh = any(_lies_in(network, each) for each in mesh)
                    if message.get("proto") == ROUTE_PROTOCOL or (is_mesh and message.get("proto") == _KERNEL_PROTOCOL):
                        own[is_mesh].add(network)
                elif interface != index:
                    (addresses if kind == _LOCAL else routes).append(_foreign_route(message, network, interface))
        foreign = ForeignRoutes(tuple(routes), frozenset(gateways), addresses=tuple(addresses))
        return Routes(frozenset(own[False]), frozenset(own[True]), foreign, ruled)

    async def way_to(self, address: IPAddress) -> Way:
        """Asks the kernel where a packet of this host to `address` goes."""
        family = _FAMILIES[address.version == 6]
        try:
            (message,) = await self._netlink.route("get", dst=str(address), family=family)
        except NetlinkError as error:
            if error.code in _NO_WAY:
                return Way("")
            raise translate(error, f"ask for the way to {address}", address.version) from None
        link = await self.at(message.get_attr("RTA_OIF")) if message.get_attr("RTA_OIF") else None
        is_passable = message.get("type") in (_UNICAST, _LOCAL)
        return Way(link.name if link and is_passable else "", message.get_attr("RTA_TABLE") or 0)

    async def create_wireguard(self, name: str) -> None:
        """Creates a kernel WireGuard interface. Raises NotSupported where the kernel has none."""
        try:
            await self._netlink.link("add", ifname=name, kind="wireguard")
        except NetlinkError as error:
            if error.code == errno.EOPNOTSUPP:
                raise NotSupported("This kernel has no WireGuard module.") from None
            raise translate(error, f"create interface {name}") from None

    async def delete(self, index: int) -> None:
        with translated("remove the interface"):
            await self._netlink.link("del", index=index)

    async def set_mtu(self, index: int, mtu: int) -> None:
        with translated(f"set MTU {mtu}"):
            await self._netlink.link("set", index=index, mtu=mtu)

    async def rename(self, index: int, name: str) -> None:
        """Names an interface. Older kernels rename none that is up: there it is down afterwards."""
        with translated(f"name the interface {name}"):
            try:
                await self._netlink.link("set", index=index, ifname=name)
            except NetlinkError as error:
                if error.code != errno.EBUSY:
                    raise
                await self._netlink.link("set", index=index, state="down")
                await self._netlink.link("set", index=index, ifname=name)

    async def bring_up(self, index: int) -> None:
        with translated("bring the interface up"):
            await self._netlink.link("set", index=index, state="up")

    async def add_address(self, index: int, address: IPInterface) -> None:
        """Adds it without the route to its network that the kernel would add: that route is a step of its own."""
        with translated(f"add address {address}", address.version):
            await self._netlink.addr(
                "add",
                index=index,
                address=str(address.ip),
                prefixlen=address.network.prefixlen,
                flags=_NO_PREFIX_ROUTE,
            )

    async def remove_address(self, index: int, address: IPInterface) -> None:
        with translated(f"remove address {address}"), _gone_already(errno.EADDRNOTAVAIL):
            await self._netlink.addr("del", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)

    async def add_route(self, index: int, network: IPNetwork) -> None:
        """Adds, never replaces: a route of somebody else with this destination makes it fail."""
        with translated(f"route {network}", network.version):
            await self._netlink.route("add", **_route(index, network))

    async def remove_route(self, index: int, network: IPNetwork) -> None:
        with translated(f"remove route {network}"), _gone_already(errno.ESRCH):
            await self._netlink.route("del", **_route(index, network))

    async def add_mesh_route(self, index: int, network: IPNetwork) -> None:
        """Adds a route to the mesh, or to a part of it, that gives way to every other one."""
        with translated(f"route {network}", network.version):
            await self._netlink.route("add", priority=MESH_METRIC, **_route(index, network))

    async def remove_mesh_route(self, index: int, network: IPNetwork) -> None:
        """Removes it, also where it is the kernel's."""
        route = _route(index, network)
        del route["proto"]
        with translated(f"remove route {network}"), _gone_already(errno.ESRCH):
            await self._netlink.route("del", **route)

    async def _all_routes(self) -> AsyncIterator[Any]:
        for family in _FAMILIES:
            with translated("read the routes"):
                async for message in await self._netlink.get_routes(family=family):
                    yield message

    async def _rules(self) -> tuple[frozenset[int], frozenset[int]]:
        """The tables that a rule leads to, and the IP versions in which another table may come before the main one.

        The tables of VRFs are worlds of their own, and no rule names them.
        """
        tables, ruled = {_MAIN_TABLE, _LOCAL_TABLE}, set[int]()
        for family, version in zip(_FAMILIES, (4, 6), strict=True):
            with translated("read the routing rules"):
                async for message in await self._netlink.get_rules(family=family):
                    table = message.get_attr("FRA_TABLE") or message.get("table")
                    if message.get("action") == _TO_TABLE:
                        tables.add(table)
                    if (message.get_attr("FRA_PRIORITY") or 0, table) not in _USUAL_RULES:
                        ruled.add(version)
        return frozenset(tables), frozenset(ruled)


@asynccontextmanager
async def open_links() -> AsyncIterator[Links]:
    """Opens rtnetlink in the network namespace of the calling thread."""
    async with AsyncIPRoute() as netlink:
        yield Links(netlink)


@contextmanager
def _gone_already(code: int) -> Iterator[None]:
    """What was to be removed may have been removed by others since it was looked at."""
    try:
        yield
    except NetlinkError as error:
        if error.code != code:
            raise


class translated:
    """Turns a NetlinkError inside the block into an error of ours. See `translate`."""

    def __init__(self, doing: str, family: int = 0) -> None:
        self._doing = doing
        self._family = family

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NetlinkError):
            raise translate(error, self._doing, self._family) from None


def translate(error: NetlinkError, doing: str, family: int = 0) -> MeshError:
    """Returns our error for a netlink one. `doing` completes "could not ...", with an address of `family` 4 or 6."""
    if family == 6 and error.code == errno.EACCES:  # what disable_ipv6=1 leads to; EPERM is another
        return NotSupported(f"Could not {doing}: IPv6 is switched off on this host.")
    if error.code in (errno.EPERM, errno.EACCES):
        return PermissionDenied(f"Could not {doing}: this needs the capability CAP_NET_ADMIN. Start wgmesh as root.")
    if error.code in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT):
        return NotSupported(f"Could not {doing}: this kernel does not support it.")
    if error.code in (errno.ENODEV, errno.ENXIO):
        return DeviceGone(f"Could not {doing}: the interface is gone. Was it removed by hand?")
    return DeviceUnavailable(f"Could not {doing}: the kernel said {errno.errorcode.get(error.code, error.code)}.")


def _route(index: int, network: IPNetwork) -> dict[str, Any]:
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    route = {"dst": str(network), "oif": index, "proto": ROUTE_PROTOCOL, "table": _MAIN_TABLE, "family": family}
    return route | {"scope": _SCOPE_LINK} if network.version == 4 else route


def _destination(message: Any) -> IPNetwork:
    unspecified = "0.0.0.0" if message.get("family") == socket.AF_INET else "::"
    return ipaddress.ip_network(f"{message.get_attr('RTA_DST') or unspecified}/{message.get('dst_len')}")


def _interfaces(message: Any) -> tuple[int, ...]:
    """The interfaces a route goes through: several for a multipath route, 0 for one that goes nowhere."""
    if message.get("type") not in (_UNICAST, _LOCAL):
        return (0,)
    hops = message.get_attr("RTA_MULTIPATH")
    if hops:
        return tuple(hop["oif"] for hop in hops)
    return (message.get_attr("RTA_OIF") or 0,)


def _gateways(message: Any, index: int | None) -> Iterator[IPAddress]:
    """The next hops of a route, but those that are reached through the interface `index`."""
    hops = message.get_attr("RTA_MULTIPATH")
    for hop in hops or (message,):
        interface = hop["oif"] if hops else message.get_attr("RTA_OIF")
        via = hop.get_attr("RTA_VIA")  # a next hop of the other family
        text = hop.get_attr("RTA_GATEWAY") or (via["addr"] if via else None)
        if text and interface != index:
            yield ipaddress.ip_address(text)


def _foreign_route(message: Any, network: IPNetwork, interface: int) -> ForeignRoute:
    name = _interface_name(interface) if interface else _type_name(message)
    connected = bool(interface) and message.get("proto") == _KERNEL_PROTOCOL
    return ForeignRoute(network, name, connected, interface, message.get("proto") == ROUTE_PROTOCOL)


def _interface_name(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:  # it is gone meanwhile
        return f"interface {index}"


def _lies_in(inner: IPNetwork, outer: IPNetwork) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _type_name(message: Any) -> str:
    return _ROUTE_TYPES.get(message.get("type"), "another route")
