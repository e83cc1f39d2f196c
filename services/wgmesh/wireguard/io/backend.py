"""The device of one node on Linux: netlink for the link, and the kernel or a userspace program for WireGuard."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from wgmesh.core.clock import WallClock
from wgmesh.core.errors import DeviceUnavailable, InterfaceTaken, MeshError, NotSupported
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import Guard, IPAddress, IPNetwork, ObservedDevice, ObservedPeer, Overlap
from wgmesh.core.network_index import is_host
from wgmesh.runtime.clock import CLOCK
from wgmesh.runtime.uninterrupted import to_its_end
from wgmesh.wireguard.admission import ForeignRoutes
from wgmesh.wireguard.device import DeviceGone, Tunnel, TunnelState
from wgmesh.wireguard.guard import rules
from wgmesh.wireguard.handshake_times import HandshakeTimes
from wgmesh.wireguard.io.kernel import open_kernel_tunnel
from wgmesh.wireguard.io.netfilter import GuardTable
from wgmesh.wireguard.io.netlink import Link, Links, Routes, open_links
from wgmesh.wireguard.io.resolvers import Resolvers
from wgmesh.wireguard.io.userspace import open_userspace_tunnel, socket_path, start_program
from wgmesh.wireguard.overlaps import Standing, overlaps
from wgmesh.wireguard.plan import (
    Action,
    AddAddress,
    AddMeshRoute,
    AddRoute,
    BringUp,
    CreateDevice,
    RemoveAddress,
    RemoveDevice,
    RemoveMeshRoute,
    RemovePeer,
    RemoveRoute,
    RestoreName,
    SetGuard,
    SetListenPort,
    SetMtu,
    SetPeer,
)
from wgmesh.wireguard.ports import parse_udp_table
from wgmesh.wireguard.ways import Way

# The table of the calling thread's network namespace; /proc/net is that of the process.
UDP_TABLES = (Path("/proc/thread-self/net/udp"), Path("/proc/thread-self/net/udp6"))

STOP_TIMEOUT_S = 2.0  # a userspace program ends a few milliseconds after its interface
STOP_POLL_S = 0.01


class LinuxDevice:
    """See Device. `birth_mark` is a file that exists while an interface is created and has no key yet."""

    def __init__(
        self, interface: str, private_key: PrivateKey, mesh: tuple[IPNetwork, ...], links: Links, birth_mark: Path
    ) -> None:
        """`mesh` are the mesh's networks."""
        self._interface = interface
        self._mesh = mesh
        self._guard = GuardTable(interface)
        self._guard_problem = ""
        self._private_key = private_key
        self._public_key = private_key.public_key
        self._links = links
        self._birth_mark = birth_mark
        self._link: Link | None = None
        self._ruled = frozenset[int]()  # see Routes, as it was at the last look
        self._own_index: int | None = None  # of the interface that was seen to be ours, whatever its name is now
        self._tunnel: Tunnel | None = None
        self._tunnel_stack = AsyncExitStack()
        self._resolvers = Resolvers()
        self._program: subprocess.Popen[bytes] | None = None
        self._handshakes = HandshakeTimes()

    async def observe(self) -> ObservedDevice | None:
        self._reap()
        link = await self._links.find(self._interface)
        if link is None or self._own_index not in (None, link.index):
            renamed = await self._renamed()
            if link is not None and renamed is not None:
                raise InterfaceTaken(
                    f"Interface {self._interface} is not this node's, whose own was named {renamed.name} by somebody. "
                    f"It was not touched: remove it, and {renamed.name} gets its name back."
                )
            link = link or renamed
        if link is None:
            await self._forget()
            return None
        tunnel = await self._tunnel_of(link)
        state = await tunnel.read()
        self._require_ours(state)
        self._link = link
        self._own_index = link.index
        routes = await self._routes(link.index)
        standing = Standing(link.index, routes.mesh)
        return ObservedDevice(
            name=self._interface,
            backend=tunnel.name,
            listen_port=state.listen_port,
            addresses=await self._links.addresses(link.index),
            mtu=link.mtu,
            peers=self._dated(state),
            routes=routes.own,
            up=link.up,
            renamed=link.name != self._interface,
            mesh_routes=routes.mesh,
            overlaps=overlaps(self._mesh, _without_members(routes.foreign, state.peers), standing),
            guard=self._guard_names(),
            guard_problem=self._guard_problem,
        )

    async def refresh(self, last: ObservedDevice) -> ObservedDevice | None:
        """Looks at WireGuard's part alone and takes the rest from `last`: cheap enough for every second."""
        if self._tunnel is None:
            return await self.observe()
        try:
            state = await self._tunnel.read()
        except DeviceGone:
            return await self.observe()
        self._require_ours(state)
        return replace(last, listen_port=state.listen_port, peers=self._dated(state))

    async def foreign_routes(self) -> ForeignRoutes:
        link = await self._links.find(self._interface)
        return (await self._routes(link.index if link else None)).foreign

    async def overlaps(self) -> tuple[Overlap, ...]:
        return overlaps(self._mesh, await self.foreign_routes(), Standing())

    async def ways(self, addresses: Collection[IPAddress]) -> Mapping[IPAddress, Way]:
        return {each: await self._links.way_to(each) for each in addresses if each.version in self._ruled}

    async def busy_ports(self) -> frozenset[int]:
        try:
            return frozenset().union(*(parse_udp_table(path.read_text()) for path in UDP_TABLES if path.exists()))
        except OSError as error:
            raise DeviceUnavailable(f"Could not read the table of UDP sockets: {error.strerror}.") from None

    async def apply(self, action: Action) -> None:
        match action:
            case CreateDevice():
                # a device without its key would be nobody's, and a program still starting would make one after our end
                await to_its_end(self._create())
            case RemoveDevice():
                await self._remove()
            case SetPeer():
                await self._ours().set_peer(action)
            case RemovePeer(public_key):
                await self._ours().remove_peer(public_key)
            case SetListenPort(port):
                await self._ours().set_listen_port(port)
            case SetGuard(guard):
                self._set_guard(guard)
            case _:
                await self._apply_to_link(action, self._index())

    async def release(self) -> None:
        """Removes what is ours where an interface of others has our name: our own under another name, and the rules."""
        link = await self._renamed()
        if link is not None:
            await self._links.delete(link.index)
        await self._forget()
        with suppress(NotSupported):
            self._guard.replace(())

    async def sweep(self) -> None:
        """Removes what an earlier life left: an interface that never got its key, rules whose interface is gone."""
        link = await self._links.find(self._interface)
        if link is None:
            with suppress(NotSupported):
                self._guard.replace(())
        if link is not None and self._is_marked():
            tunnel = await self._tunnel_of(link)
            if (await tunnel.read()).public_key is None:
                self._link = link
                await self._remove()
        self._end_birth()

    async def close(self) -> None:
        """Lets go of the device and leaves it as it is."""
        await self._forget()

    async def _apply_to_link(self, action: Action, index: int) -> None:
        match action:
            case SetMtu(mtu):
                await self._links.set_mtu(index, mtu)
            case AddAddress(address):
                await self._links.add_address(index, address)
            case RemoveAddress(address):
                await self._links.remove_address(index, address)
            case BringUp():
                await self._links.bring_up(index)
            case RestoreName():
                await self._links.rename(index, self._interface)
                await self._forget()  # the kernel's WireGuard is spoken to by name
                await self._take_up(index)
            case AddRoute(network, _):
                await self._links.add_route(index, network)
            case RemoveRoute(network):
                await self._links.remove_route(index, network)
            case AddMeshRoute(network):
                await self._links.add_mesh_route(index, network)
            case RemoveMeshRoute(network):
                await self._links.remove_mesh_route(index, network)

    async def _routes(self, index: int | None) -> Routes:
        routes = await self._links.routes(index, self._mesh)
        self._ruled = routes.ruled
        return replace(routes, foreign=replace(routes.foreign, resolvers=self._resolvers.addresses()))

    def _guard_names(self) -> tuple[str, ...]:
        """What is there. A host whose rules cannot be looked at has a device all the same."""
        try:
            found = self._guard.names()
        except MeshError as error:
            self._guard_problem = str(error)
            return ()
        if found:
            self._guard_problem = ""
        return found

    def _set_guard(self, guard: Guard) -> None:
        try:
            self._guard.replace(rules(guard, self._interface))
        except MeshError as error:
            self._guard_problem = str(error)
            raise
        self._guard_problem = ""

    async def _create(self) -> None:
        self._mark_birth()
        created = False
        try:
            try:
                await self._links.create_wireguard(self._interface)
            except NotSupported:
                await self._create_in_userspace()
            created = True
            await self._take_over()
        except MeshError:
            if created:
                await self._undo_creation()
            self._end_birth()
            raise
        self._end_birth()

    async def _create_in_userspace(self) -> None:
        async with open_userspace_tunnel(self._interface) as tunnel:
            if await tunnel.is_alive():
                raise InterfaceTaken(
                    f"Another WireGuard program serves {socket_path(self._interface)} already. It was not touched: "
                    "end it, or choose another name with --interface."
                )
            self._program = await start_program(self._interface, tunnel)

    async def _take_over(self) -> None:
        link = await self._links.find(self._interface)
        if link is None:
            raise DeviceGone(f"Interface {self._interface} vanished while it was created.")
        tunnel = await self._tunnel_of(link)
        await tunnel.set_private_key(self._private_key)
        self._link = link
        self._own_index = link.index

    async def _take_up(self, index: int) -> None:
        link = await self._links.at(index)
        if link is None:
            raise DeviceGone(f"Interface {self._interface} vanished.")
        await self._tunnel_of(link)
        self._link = link

    async def _renamed(self) -> Link | None:
        """The interface that was seen to be ours, under another name. None: it is gone, or it is not ours any more."""
        link = await self._links.at(self._own_index) if self._own_index is not None else None
        if link is None or link.name == self._interface:
            return None
        try:
            tunnel = await self._tunnel_of(link)
            return link if (await tunnel.read()).public_key == self._public_key else None
        except (DeviceUnavailable, InterfaceTaken):
            return None

    async def _undo_creation(self) -> None:
        link = await self._links.find(self._interface)
        if link is not None:
            await self._links.delete(link.index)
        await self._forget()

    async def _remove(self) -> None:
        await self._links.delete(self._index())
        if self._program is not None:
            await self._wait_for_program(self._program)
        self._own_index = None
        await self._forget()
        await self._wait_for_silence()

    async def _wait_for_silence(self) -> None:
        """Waits until nobody serves the interface: a program that we have not started takes a moment to end as well."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT_S), open_userspace_tunnel(self._interface) as tunnel:
                while await tunnel.is_alive():
                    await asyncio.sleep(STOP_POLL_S)

    async def _wait_for_program(self, program: subprocess.Popen[bytes]) -> None:
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                while program.poll() is None:
                    await asyncio.sleep(STOP_POLL_S)
        except TimeoutError:
            program.kill()
            program.wait()
        self._program = None

    async def _tunnel_of(self, link: Link) -> Tunnel:
        """Returns the way to speak to an existing interface. Raises InterfaceTaken if it is none of WireGuard's."""
        known = self._link
        if self._tunnel and known and (known.index, known.name) == (link.index, link.name):
            return self._tunnel
        await self._forget()
        if link.kind == "wireguard":
            self._tunnel = await self._tunnel_stack.enter_async_context(open_kernel_tunnel(link.name))
            return self._tunnel
        if link.kind == "tun":
            tunnel = await self._tunnel_stack.enter_async_context(open_userspace_tunnel(self._interface))
            if await tunnel.is_alive():
                self._tunnel = tunnel
                return tunnel
        raise InterfaceTaken(
            f"Interface {self._interface} exists and is no WireGuard device of this node (it is a "
            f"{link.kind or 'hardware'} interface). It was not touched: remove it, or choose another name "
            "with --interface."
        )

    def _require_ours(self, state: TunnelState) -> None:
        if state.public_key == self._public_key:
            return
        whose = f"the key {state.public_key.short}..." if state.public_key else "no key"
        raise InterfaceTaken(
            f"Interface {self._interface} exists with {whose}, which is not this node's. It was not touched: "
            f"remove it with `ip link del {self._interface}`, or choose another name with --interface."
        )

    def _dated(self, state: TunnelState) -> tuple[ObservedPeer, ...]:
        return self._handshakes.date(state.peers, WallClock(CLOCK.ahead_s()), CLOCK.now())

    def _ours(self) -> Tunnel:
        if self._tunnel is None:
            raise DeviceGone(f"Interface {self._interface} does not exist.")
        return self._tunnel

    def _index(self) -> int:
        if self._link is None:
            raise DeviceGone(f"Interface {self._interface} does not exist.")
        return self._link.index

    async def _forget(self) -> None:
        self._link = self._tunnel = None
        await self._tunnel_stack.aclose()

    def _reap(self) -> None:
        if self._program is not None and self._program.poll() is not None:
            self._program = None

    def _end_birth(self) -> None:
        with suppress(OSError):  # another user's, which says nothing, or a disk that takes no change
            self._birth_mark.unlink(missing_ok=True)

    def _is_marked(self) -> bool:
        """Whether a mark of ours is there. Others may make files beside it, and theirs count for nothing."""
        try:
            return self._birth_mark.lstat().st_uid in (0, os.geteuid())
        except OSError:
            return False  # none, or none that can be looked at

    def _mark_birth(self) -> None:
        try:
            self._birth_mark.touch(mode=0o600)
        except OSError:
            return  # no disk keeps a device from being made; one that is killed half made needs a hand then


def _without_members(foreign: ForeignRoutes, peers: Iterable[ObservedPeer]) -> ForeignRoutes:
    """What is foreign, without the name servers that are members of the mesh."""
    members = {network.network_address for peer in peers for network in peer.allowed_ips if is_host(network)}
    return replace(foreign, resolvers=foreign.resolvers - members)


@asynccontextmanager
async def open_device(
    interface: str, private_key: PrivateKey, mesh: tuple[IPNetwork, ...], state_dir: Path
) -> AsyncIterator[LinuxDevice]:
    """Opens the device `interface`, which need not exist yet. Leaving the context leaves the device as it is.

    `mesh` are the mesh's networks.
    """
    async with open_links() as links:
        device = LinuxDevice(interface, private_key, mesh, links, state_dir / f"{interface}.creating")
        try:
            await device.sweep()
            yield device
        finally:
            await device.close()
