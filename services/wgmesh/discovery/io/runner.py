"""The running core: its sockets, its snapshots, and what waits for its answers."""

from __future__ import annotations

import asyncio
import os
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from wgmesh.core.clock import WallClock
from wgmesh.core.errors import NotFound, NotReady
from wgmesh.core.keys.possession import Agreement
from wgmesh.core.model import Endpoint, IPAddress, LayerState, PeerProof, PeersSnapshot, PublicKey, SelfDescription
from wgmesh.discovery.assembly import Randomness
from wgmesh.discovery.core import DiscoveryCore
from wgmesh.discovery.dht import DhtEvent, DhtRequest
from wgmesh.discovery.events import (
    EXCHANGE,
    LAN,
    STATIC,
    DhtRequested,
    Event,
    PairKeysWanted,
    PeerDisplaced,
    PeerLeft,
    PeersChanged,
    PeerSighted,
    ProbeAnswered,
    ProbeFailed,
)
from wgmesh.discovery.host_interfaces import Link, Underlay, beyond, lan_interfaces
from wgmesh.discovery.io.cache_store import CacheStore
from wgmesh.discovery.io.instruments import Instruments
from wgmesh.discovery.lan.io.sockets import LanSockets
from wgmesh.discovery.members.tombstones import Departure
from wgmesh.discovery.settings import DiscoverySettings
from wgmesh.runtime.clock import CLOCK
from wgmesh.runtime.datagram import DatagramDriver
from wgmesh.runtime.logs import BoundLogger
from wgmesh.runtime.snapshots import SnapshotCell
from wgmesh.runtime.storage import CHECK_S, storage_problem
from wgmesh.runtime.udp_sockets import open_exchange_socket

BOOT_BYTES = 8
# A mesh that comes up changes many times a second; the disk need not follow. But whom a run has met for longer than
# this, the next one asks at its start, even after kill -9.
SAVE_GAP_S = 1.0
# Between two publications. In a large mesh that comes up there is news all the time, and a table of fifty costs each of
# its two watchers three milliseconds; nobody acts on it faster (node/io/reconcile_loop.py).
PUBLISH_GAP_PEER_S = 0.004
INVENTIONS_AGAIN_S = 60.0  # who invents names does so many times a second, and it is the same each time
PUBLISH_GAP_MAX_S = 0.5  # a table that somebody has filled with names does not make a newcomer wait


class DiscoveryRunner:
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
        self._underlay = Underlay(settings.interface, frozenset(settings.underlay), frozenset(settings.no_underlay))
        self._log = log
        self._instruments = instruments
        self._probes: defaultdict[Endpoint, list[asyncio.Future[ProbeAnswered]]] = defaultdict(list)
        self._departed: set[PublicKey] = set()
        self._warned_at = -INVENTIONS_AGAIN_S
        self._changed = asyncio.Event()
        self.wall = WallClock(CLOCK.ahead_s())
        """The host's clock, as of the last input."""
        core = DiscoveryCore(settings, Randomness(os.urandom, random.random), os.urandom(BOOT_BYTES), wall=self.wall)
        exchange = open_exchange_socket(core.gossip_port, core.lan_port)
        self._core = core
        instruments.observe(lambda: core.sealed_count)
        self.snapshots = SnapshotCell(PeersSnapshot())
        self._published_at = float("-inf")
        self._publication: asyncio.TimerHandle | None = None
        self.hosts: SnapshotCell[tuple[IPAddress, ...]] = SnapshotCell(())
        """The addresses of this host outside the mesh."""
        self.on_dht_request: Callable[[DhtRequest], None] | None = None
        """Does what is asked of the Mainline DHT."""
        self._driver: DatagramDriver[Event] = DatagramDriver(core, {"": exchange.socket}, self._on_event, self._time)
        self._lan = LanSockets(self._driver, core.multicast_groups, core.lan_port, settings, log)
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

    def set_self(
        self, description: SelfDescription, proofs: Sequence[PeerProof], lost: Sequence[PublicKey] = ()
    ) -> None:
        """Sets what is announced, what the data path proves, and whose tunnels do not answer any more."""
        self._core.set_self(description, proofs, self._driver.now(), lost)
        self._pump()

    async def watch_storage(self, directory: Path) -> None:
        """Looks now and then whether the directory can take what is to be kept, until cancelled."""
        told = ""
        while True:
            problem = await asyncio.to_thread(storage_problem, directory)
            if problem != told:
                sentence = (
                    f"{directory} {problem}: what is to be known after a restart is not kept there. Tunnels go on; "
                    "make the directory usable again."
                )
                if problem:
                    self._log.warning("state not kept", path=str(directory), reason=problem)
                self._core.set_storage_problem(sentence if problem else "", self._driver.now())
                self._pump()
            told = problem
            await asyncio.sleep(CHECK_S)

    def set_pair_keys(self, agreements: Sequence[Agreement]) -> None:
        """Takes the keys that were agreed with peers."""
        self._core.set_pair_keys(agreements, self._driver.now())
        self._pump()

    def handle_dht(self, event: DhtEvent) -> None:
        """Takes what the DHT reports, the public one or our own."""
        self._core.handle_dht(event, self._driver.now())
        self._pump()

    def judge_record(self, name: bytes, old: bytes | None, new: bytes) -> bool:
        """Whether our node of the private DHT may keep a value."""
        return self._core.judge_record(name, old, new, self._driver.now())

    def set_links(self, links: tuple[Link, ...]) -> None:
        """Follows the host's interfaces: sockets first, so that the core's announcements have a way out."""
        chosen = lan_interfaces(links, self._underlay)
        self._lan.follow(chosen)
        now = self._driver.now()
        self._core.set_interfaces(chosen, now, beyond(links, self._underlay))
        self._core.set_layer(LAN, *self._lan.health(), now)
        self.hosts.publish(tuple(address.ip for interface in chosen for address in interface.addresses))
        self._pump()

    def set_links_unknown(self, reason: str) -> None:
        """The interfaces could not be looked at: what is open stays open."""
        self._log.warning("interfaces not known", reason=reason)
        self._core.set_layer(LAN, LayerState.DEGRADED, reason, self._driver.now())
        self._pump()

    def set_stun_servers(self, addresses: list[Endpoint]) -> None:
        """Sets whom to ask where the outside sees the exchange socket."""
        self._core.set_stun_servers(addresses, self._driver.now())
        self._pump()

    def are_silent(self, addresses: list[Endpoint]) -> bool:
        """Whether nobody answers at any of these addresses of the operator's peers."""
        return self._core.are_silent(addresses)

    def set_static(self, addresses: list[Endpoint], failures: dict[str, str]) -> None:
        """Sets the addresses of the operator's peers."""
        now = self._driver.now()
        self._core.set_static(addresses, now)
        if failures:
            detail = " ".join(failures[name] for name in sorted(failures))
            self._core.set_layer(STATIC, LayerState.DEGRADED, detail, now)
        elif addresses:
            self._core.set_layer(STATIC, LayerState.RUNNING, f"{len(addresses)} addresses", now)
        self._pump()

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
        forgets = self._core.is_clock_confirmed(now)
        await store.save(self._core.cached_peers(now), self._departed, self.wall.at(now), forgets=forgets)

    def close(self) -> None:
        """Says goodbye to every peer and closes the sockets."""
        if self._publication is not None:
            self._publication.cancel()
        self._core.goodbye(self._driver.now())
        self._driver.close()

    def _time(self) -> float:
        """The core's time. Whenever it is read, the core learns how the host's clock stands to it."""
        now = CLOCK.now()
        jump_s = self._core.set_clock(CLOCK.ahead_s(), now)
        if jump_s:
            self._log.warning("clock set", by_s=round(jump_s, 1))
            asyncio.get_running_loop().call_soon(self._pump)
        return now

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
                self._log.debug("peer sighted", peer=key.short, layer=layer)
            case PeerLeft(key, reason, hostname, mesh_ipv4):
                if reason not in (Departure.SILENT, Departure.DISPLACED):
                    self._departed.add(key)
                self._log.info(
                    "peer left", peer=key.short, hostname=hostname, address=str(mesh_ipv4 or ""), reason=str(reason)
                )
            case PeerDisplaced():
                self._warn_of_inventions()
            case ProbeAnswered() | ProbeFailed():
                self._end_probes(event)
            case _:
                return

    def _warn_of_inventions(self) -> None:
        now = self._driver.now()
        if now - self._warned_at >= INVENTIONS_AGAIN_S:
            self._warned_at = now
            self._log.warning("unproven name displaced")

    def _publish_soon(self) -> None:
        """Publishes at once, or in a moment where that was done just now: each watcher gets the whole table."""
        if self._publication is not None:
            return
        loop = asyncio.get_running_loop()
        gap_s = min(PUBLISH_GAP_PEER_S * len(self.snapshots.value.peers), PUBLISH_GAP_MAX_S)
        due_at = self._published_at + gap_s
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

    def _note_exchange(self, port: int, is_expected: bool) -> None:
        now = self._driver.now()
        self._core.set_exchange_port(port, now)
        if is_expected:
            self._core.set_layer(EXCHANGE, LayerState.RUNNING, f"port {port}", now)
            return
        expected = self._core.gossip_port
        detail = f"port {expected} is taken, listening on {port}: upstream peers may not reach us first"
        self._log.warning("exchange port taken", port=expected, instead=port)
        self._core.set_layer(EXCHANGE, LayerState.DEGRADED, detail, now)
