"""The running core: its sockets, its snapshots, and what waits for its answers."""

from __future__ import annotations

import asyncio
import os
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from wgmesh.core.errors import NotFound, NotReady, PeerNotFound
from wgmesh.core.model import Endpoint, IPAddress, LayerState, PeerProof, PeersSnapshot, PublicKey, SelfDescription
from wgmesh.core.possession import Agreement
from wgmesh.discovery.assembly import Randomness
from wgmesh.discovery.engine import DiscoveryCore
from wgmesh.discovery.events import (
    DhtRequest,
    DhtRequested,
    Event,
    PairKeysWanted,
    PeerLeft,
    PeersChanged,
    PeerSighted,
    ProbeAnswered,
    ProbeFailed,
)
from wgmesh.discovery.io.cache_store import CacheStore
from wgmesh.discovery.io.instruments import Instruments
from wgmesh.discovery.io.sockets import open_exchange_socket, open_lan_socket
from wgmesh.discovery.lan import LanInterface
from wgmesh.discovery.links import Link, lan_interfaces
from wgmesh.discovery.mainline import MainlineEvent
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.discovery.tombstones import Departure
from wgmesh.runtime.datagram import DatagramDriver
from wgmesh.runtime.logs import BoundLogger
from wgmesh.runtime.snapshots import SnapshotCell

BOOT_BYTES = 8
# A mesh that comes up changes many times a second; the disk need not follow. But whom a run has met for longer than
# this, the next one asks at its start, even after kill -9.
SAVE_GAP_S = 1.0
# Between two publications. In a large mesh that comes up there is news all the time, and a table of fifty costs each of
# its two watchers three milliseconds; nobody acts on it faster (node/io/turns.py).
PUBLISH_GAP_PEER_S = 0.004


class Station:
    """One core on its sockets. Made on a running event loop; `close` says goodbye."""

    def __init__(
        self,
        settings: DiscoverySettings,
        log: BoundLogger,
        instruments: Instruments,
        want_pair_keys: Callable[[Sequence[PublicKey]], None],
    ) -> None:
        """`want_pair_keys` has keys agreed with peers, for `set_pair_keys`.

        Raises NotReady where no UDP socket can be had.
        """
        self._want_pair_keys = want_pair_keys
        self._settings = settings
        self._log = log
        self._instruments = instruments
        self._probes: defaultdict[Endpoint, list[asyncio.Future[ProbeAnswered]]] = defaultdict(list)
        self._departed: set[PublicKey] = set()
        self._changed = asyncio.Event()
        self._interfaces: dict[str, LanInterface] = {}
        self._lan_trouble: dict[str, str] = {}
        core = DiscoveryCore(settings, Randomness(os.urandom, random.random), os.urandom(BOOT_BYTES))
        exchange = open_exchange_socket(core.gossip_port, core.lan_port)
        self._core = core
        self.snapshots = SnapshotCell(PeersSnapshot())
        self._published_at = float("-inf")
        self._publication: asyncio.TimerHandle | None = None
        self.hosts: SnapshotCell[tuple[IPAddress, ...]] = SnapshotCell(())
        """The addresses of this host outside the mesh."""
        self.on_dht_request: Callable[[DhtRequest], None] | None = None
        """Does what is asked of the Mainline DHT."""
        self._driver: DatagramDriver[Event] = DatagramDriver(core, {"": exchange.socket}, self._on_event)
        self._note_exchange(exchange.port, exchange.is_expected_port)
        self._pump()

    @property
    def exchange_port(self) -> int:
        """The mesh's exchange port, which is not ours where that was taken."""
        return self._core.gossip_port

    @property
    def own_key(self) -> PublicKey | None:
        """Our key; None until we have been told it."""
        description = self._core.snapshot().description
        return None if description is None else description.public_key

    def set_banned(self, keys: AbstractSet[PublicKey]) -> None:
        """Makes these keys all that are banned, from now on."""
        self._departed.update(keys)  # so that the cache does not bring them back at the next start
        self._core.set_banned(keys, self._driver.now())
        self._pump()
        self._publish_now()

    def set_self(self, description: SelfDescription, proofs: Sequence[PeerProof]) -> None:
        """Sets what is announced, and what the data path proves."""
        self._core.set_self(description, proofs, self._driver.now())
        self._pump()

    def set_pair_keys(self, agreements: Sequence[Agreement]) -> None:
        """Takes the keys that were agreed with peers."""
        self._core.set_pair_keys(agreements, self._driver.now())
        self._pump()

    def handle_mainline(self, event: MainlineEvent) -> None:
        """Takes what the session of the Mainline DHT reports."""
        self._core.handle_mainline(event, self._driver.now())
        self._pump()

    def note_private_nodes(self, count: int, port: int) -> None:
        """Takes how many nodes of the private DHT are known, and where ours listens."""
        self._core.note_private_nodes(count, port, self._driver.now())
        self._pump()

    def take_private(self, name: bytes, values: Sequence[bytes]) -> None:
        """Takes what was read under a name of the private DHT."""
        self._core.take_private(name, values, self._driver.now())
        self._pump()

    def judge_private(self, name: bytes, old: bytes | None, new: bytes) -> bool:
        """Whether our node of the private DHT may keep a value."""
        return self._core.judge_private(name, old, new, self._driver.now())

    def set_links(self, links: tuple[Link, ...]) -> None:
        """Follows the host's interfaces: sockets first, so that the core's announcements have a way out."""
        chosen = lan_interfaces(links, self._settings.interface)
        wanted = {each.channel: each for each in chosen if each.announces} if self._settings.lan else {}
        for channel in self._interfaces.keys() - wanted.keys():
            self._driver.remove_channel(channel)
        self._lan_trouble = {name: why for name, why in self._lan_trouble.items() if name in wanted}
        for channel, interface in wanted.items():
            if self._interfaces.get(channel) != interface or channel in self._lan_trouble:
                self._open_lan(channel, interface)
        self._interfaces = wanted
        self._core.set_interfaces(chosen, self._driver.now())
        self._note_lan()
        self.hosts.publish(tuple(address.ip for interface in chosen for address in interface.addresses))
        self._pump()

    def set_links_unknown(self, reason: str) -> None:
        """The interfaces could not be looked at: what is open stays open."""
        self._log.warning("interfaces not known", reason=reason)
        self._core.set_layer("lan", LayerState.DEGRADED, reason, self._driver.now())
        self._pump()

    def set_stun_servers(self, addresses: list[Endpoint]) -> None:
        """Sets whom to ask where the outside sees the exchange socket."""
        self._core.set_stun_servers(addresses, self._driver.now())
        self._pump()

    def set_static(self, addresses: list[Endpoint], failures: dict[str, str]) -> None:
        """Sets the addresses of the operator's peers."""
        now = self._driver.now()
        self._core.set_static(addresses, now)
        if failures:
            detail = " ".join(failures[name] for name in sorted(failures))
            self._core.set_layer("static", LayerState.DEGRADED, detail, now)
        elif addresses:
            self._core.set_layer("static", LayerState.RUNNING, f"{len(addresses)} addresses", now)
        self._pump()

    def forget(self, key: PublicKey) -> None:
        """Forgets a peer. Raises PeerNotFound."""
        is_known = self._core.forget(key, self._driver.now())
        self._pump()
        self._publish_now()
        if not is_known:
            raise PeerNotFound(f"No peer has the key {key.short}; see `wgmesh peers list`.")

    async def probe(self, endpoint: Endpoint, timeout_s: float) -> ProbeAnswered:
        """Asks one address. Raises NotFound if no member answers there in time, NotReady before SetSelf."""
        answer: asyncio.Future[ProbeAnswered] = asyncio.get_running_loop().create_future()
        self._probes[endpoint].append(answer)
        try:
            if not self._core.probe_address(endpoint, timeout_s, self._driver.now()):
                raise NotReady("The address cannot be asked yet; try again in a moment.")
            self._pump()
            async with asyncio.timeout(timeout_s + 1.0):
                return await answer
        except TimeoutError:
            raise NotFound(f"No member of this mesh answered at {endpoint} within {timeout_s:g} s.") from None
        finally:
            waiting = self._probes[endpoint]
            waiting.remove(answer)
            if not waiting:
                del self._probes[endpoint]

    async def keep_cache(self, store: CacheStore) -> None:
        """Restores the peer cache, then saves it after changes, until cancelled."""
        self._core.restore_cache(store.load(), self._driver.now())
        self._pump()
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self.save_cache(store)
            await asyncio.sleep(SAVE_GAP_S)

    async def save_cache(self, store: CacheStore) -> None:
        now = self._driver.now()
        await store.save(self._core.cached_peers(now), self._departed, now)

    def close(self) -> None:
        """Says goodbye to every peer and closes the sockets."""
        if self._publication is not None:
            self._publication.cancel()
        self._core.goodbye(self._driver.now())
        self._driver.close()

    def _pump(self) -> None:
        self._driver.pump()

    def _on_event(self, event: Event) -> None:
        self._instruments.count(event)
        match event:
            case PeersChanged():
                self._publish_soon()
            case DhtRequested(request):
                if self.on_dht_request is not None:
                    self.on_dht_request(request)
            case PairKeysWanted(keys):
                self._want_pair_keys(keys)
            case PeerSighted(key, layer):
                self._departed.discard(key)
                self._core.set_traceparent(key, self._instruments.begin_trace(key, layer))
                self._log.info("peer sighted", peer=key.short, layer=layer)
            case PeerLeft(key, reason):
                if reason != Departure.SILENT:
                    self._departed.add(key)
                self._log.info("peer left", peer=key.short, reason=str(reason))
            case ProbeAnswered() | ProbeFailed():
                self._end_probes(event)
            case _:
                return

    def _publish_soon(self) -> None:
        """Publishes at once, or in a moment where that was done just now: each watcher gets the whole table."""
        if self._publication is not None:
            return
        loop = asyncio.get_running_loop()
        due_at = self._published_at + PUBLISH_GAP_PEER_S * len(self.snapshots.value.peers)
        if loop.time() >= due_at:
            self._publish()
        else:
            self._publication = loop.call_at(due_at, self._publish)

    def _publish_now(self) -> None:
        """What somebody has asked for is in force, and seen, when he is answered."""
        if self._publication is not None:
            self._publication.cancel()
            self._publish()

    def _publish(self) -> None:
        self._publication = None
        self._published_at = asyncio.get_running_loop().time()
        self.snapshots.publish(self._core.snapshot())
        self._changed.set()

    def _end_probes(self, event: ProbeAnswered | ProbeFailed) -> None:
        for waiting in self._probes.get(event.target, ()):
            if waiting.done():
                continue
            if isinstance(event, ProbeAnswered):
                waiting.set_result(event)
            else:
                waiting.set_exception(NotFound(f"No member of this mesh answered at {event.target}."))

    def _open_lan(self, channel: str, interface: LanInterface) -> None:
        self._driver.remove_channel(channel)
        self._lan_trouble.pop(channel, None)
        source = interface.ipv4
        if source is None:  # nothing announces without one
            return
        try:
            lan = open_lan_socket(self._core.multicast_group, self._core.lan_port, interface.index, source)
        except OSError as error:  # the interface went away meanwhile, or multicast is refused there
            self._lan_trouble[channel] = f"{interface.name}: {error.strerror}"
            self._log.warning("lan interface not opened", link=interface.name, reason=error.strerror)
            return
        self._driver.add_channel(channel, lan)

    def _note_lan(self) -> None:
        now = self._driver.now()
        if not self._settings.lan:
            self._core.set_layer("lan", LayerState.DISABLED, "switched off", now)
        elif self._lan_trouble:
            self._core.set_layer("lan", LayerState.DEGRADED, "; ".join(sorted(self._lan_trouble.values())), now)
        elif not self._interfaces:
            self._core.set_layer("lan", LayerState.DEGRADED, "no interface with IPv4 and multicast is up", now)
        else:
            names = ", ".join(interface.name for interface in self._interfaces.values())
            self._core.set_layer("lan", LayerState.RUNNING, f"on {names}", now)

    def _note_exchange(self, port: int, is_expected: bool) -> None:
        now = self._driver.now()
        self._core.set_exchange_port(port, now)
        if is_expected:
            self._core.set_layer("exchange", LayerState.RUNNING, f"port {port}", now)
            return
        expected = self._core.gossip_port
        detail = f"port {expected} is taken, listening on {port}: upstream peers may not reach us first"
        self._log.warning("exchange port taken", port=expected, instead=port)
        self._core.set_layer("exchange", LayerState.DEGRADED, detail, now)
