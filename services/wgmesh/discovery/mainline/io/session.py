"""The session of the Mainline DHT: libtorrent, with all of it but the DHT switched off.

libtorrent runs one thread of its own. It tells us through a socket that it has something to report.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from nacl.bindings import crypto_sign_seed_keypair
from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.discovery.dht import Bootstrapped, ItemStored, MainlineEvent, Trouble
from wgmesh.discovery.mainline.io.alerts import event_of, live_nodes
from wgmesh.discovery.mainline.io.tcp_listener import close_tcp_listener
from wgmesh.discovery.mainline.known_nodes import (
    INFOHASH_BYTES,
    ROUTING_NODES_MAX,
    SALT_BYTES_MAX,
    SEED_BYTES,
    VALUE_BYTES_MAX,
    MainlineSettings,
    RoutingNode,
    listening_addresses,
)

if TYPE_CHECKING:  # a node with --no-dht never loads it
    import libtorrent

PORT_TRIES = 3  # a port that the kernel just called free is taken only by a race
ALERTS_MAX = 500  # the loop reads within milliseconds; what is beyond is dropped by libtorrent
WAKE_BYTES = 4096  # more than one read never has to be done: alerts are popped all at once
ROUTING_NODES_WAIT_S = 0.5  # asked of a thread in this process

_QUIET = {
    "enable_dht": False,  # until a socket is open, see `_on_listening`
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_tcp": False,
    "enable_outgoing_tcp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "connections_limit": 2,  # the least that libtorrent takes
    "tick_interval": 1000,  # ms, the most that libtorrent advises; it has two for torrents, of which there are none
    "aio_threads": 0,  # there is no disk to work on
    "hashing_threads": 0,
    "alert_queue_size": ALERTS_MAX,
    "listen_interfaces": "",  # until `listen`: the default is every address, also inside the mesh
    "max_retry_port_bind": 0,  # `_on_listen_failed` looks for another port, the same on all addresses
    "listen_system_port_fallback": False,
    "dht_upload_rate_limit": 8000,  # bytes a second, about 60 queries
    # What strangers may store here: a fair share for the network, a few megabytes at most.
    "dht_max_torrents": 500,
    "dht_max_peers": 100,
    # A forged source makes us answer to it: eight nodes, as BEP 5 demands, and little more.
    "dht_max_peers_reply": 5,
    "dht_max_infohashes_sample_count": 0,
    "dht_max_dht_items": 500,
}

# What no private swarm can keep: addresses that are public and of different networks, ids that follow from them
# (BEP 42), and few packets a second from one address.
_LAB = {
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_ignore_dark_internet": False,
    "dht_prefer_verified_node_ids": False,
    "dht_block_ratelimit": 100000,
}


class MainlineSession:
    """One session, made and used on a running event loop. It opens nothing before `listen`, and is ended by `close`."""

    def __init__(self, settings: MainlineSettings, on_event: Callable[[MainlineEvent], None]) -> None:
        """Never raises: where libtorrent cannot run, one Trouble is reported and the methods do nothing."""
        self._loop = asyncio.get_running_loop()
        self._on_event = on_event
        self._port = settings.port
        self._ports_tried = 1
        self._addresses: tuple[IPAddress, ...] = ()
        self._is_open: set[IPAddress] = set()
        self._bootstrap: dict[Endpoint, None] = dict.fromkeys(settings.bootstrap)
        self._nodes: dict[Endpoint, None] = {}
        self._refused: set[IPAddress] = set()
        self._puts = 0  # without an answer yet
        self._is_bootstrapped = False
        self._live: dict[bytes, asyncio.Future[tuple[RoutingNode, ...]]] = {}
        self._session: libtorrent.session | None = None
        self._awake, self._wake = socket.socketpair()
        for end in (self._awake, self._wake):
            end.setblocking(False)
        try:
            self._start(settings)
        except (ImportError, RuntimeError, OSError) as error:
            reason = f"The DHT is not available, because libtorrent does not run: {error}."
            self._loop.call_soon(self._tell_trouble, reason)

    @property
    def port(self) -> int:
        """The UDP port it listens on, which is not the wished one where that was taken. The same on all addresses."""
        return self._port

    @property
    def addresses(self) -> frozenset[IPAddress]:
        """The addresses whose sockets are open."""
        return frozenset(self._is_open)

    def listen(self, addresses: Iterable[IPAddress]) -> None:
        """Opens sockets on these addresses and closes all others. The caller leaves out the mesh's own addresses.

        Those that stay are not disturbed. Each is a node of the DHT with an id of its own.
        """
        chosen = listening_addresses(addresses)
        if set(chosen) == set(self._addresses):
            return
        self._addresses = chosen
        self._is_open.intersection_update(chosen)
        self._ports_tried = 1
        self._refused.clear()
        self._apply_addresses()

    def add_bootstrap(self, endpoints: Iterable[Endpoint]) -> None:
        """Adds addresses to enter the DHT through, such as names that could be resolved only later."""
        before = len(self._bootstrap)
        self._bootstrap.update(dict.fromkeys(endpoints))
        if self._session is not None and len(self._bootstrap) > before:
            self._session.apply_settings({"dht_bootstrap_nodes": _joined(self._bootstrap)})

    def add_nodes(self, endpoints: Iterable[Endpoint]) -> None:
        """Pings nodes, and takes those that answer into the routing tables; also of addresses opened later."""
        for endpoint in endpoints:
            if len(self._nodes) >= ROUTING_NODES_MAX:
                return
            if endpoint not in self._nodes:
                self._nodes[endpoint] = None
                self._add_node(endpoint)

    def announce(self, infohash: bytes, port: int) -> None:
        """Says that we are found under `infohash` at UDP `port` of the address that the nodes see.

        Nobody acknowledges: a later `get_peers` that finds our own address is the proof.
        """
        if not 1 <= port <= 65535:
            raise ValueError(f"a port lies in 1..65535, not {port}")
        self._with_infohash(infohash, lambda session, target: session.dht_announce(target, port, 0))

    def get_peers(self, infohash: bytes) -> None:
        """Looks for peers; each reply that has some gives a PeersFound."""
        self._with_infohash(infohash, lambda session, target: session.dht_get_peers(target))

    def put_item(self, seed: bytes, salt: bytes, value: bytes) -> None:
        """Stores a mutable item under the Ed25519 key of `seed`, with the sequence number after the newest found."""
        if len(salt) > SALT_BYTES_MAX or not 1 <= len(value) <= VALUE_BYTES_MAX:
            raise ValueError(f"an item has at most {SALT_BYTES_MAX} bytes of salt and 1 to {VALUE_BYTES_MAX} of value")
        public_key, _ = crypto_sign_seed_keypair(seed)
        if self._session is not None:
            self._expect(self._puts + 1, self._is_bootstrapped)
            self._session.dht_put_mutable_item(expanded_key(seed), public_key, value, salt)

    def get_item(self, public_key: bytes, salt: bytes) -> None:
        """Looks for a mutable item: ItemFound, perhaps several times, or ItemMissing."""
        if len(public_key) != SEED_BYTES or len(salt) > SALT_BYTES_MAX:
            raise ValueError(f"an item is named by a key of {SEED_BYTES} bytes and a salt of at most {SALT_BYTES_MAX}")
        if self._session is not None:
            self._session.dht_get_mutable_item(public_key, salt)

    def count_nodes(self) -> None:
        """Asks for a NodesCounted."""
        if self._session is not None:
            self._session.post_session_stats()

    async def routing_nodes(self) -> tuple[RoutingNode, ...]:
        """Returns the nodes of the routing tables that answered lately, each once; what is to be saved."""
        if self._session is None:
            return ()
        for node_id in self._own_ids(self._session):
            self._live[node_id.to_bytes()] = self._loop.create_future()
            self._session.dht_live_nodes(node_id)
        waiting = list(self._live.values())
        if not waiting:
            return ()
        answered, _ = await asyncio.wait(waiting, timeout=ROUTING_NODES_WAIT_S)
        self._live.clear()
        found = [node for each in answered if not each.cancelled() for node in each.result()]
        return tuple(dict.fromkeys(found))[:ROUTING_NODES_MAX]

    def close(self) -> None:
        """Ends the session within milliseconds. May be called twice."""
        if self._session is not None:
            self._loop.remove_reader(self._awake)
            self._session = None  # its destructor ends the thread, which writes to the socket until then
        for waiting in self._live.values():
            waiting.cancel()
        self._live.clear()
        self._awake.close()
        self._wake.close()

    def _start(self, settings: MainlineSettings) -> None:
        import libtorrent

        chosen: dict[str, Any] = {
            **_QUIET,
            **(_LAB if settings.lab else {}),
            "dht_bootstrap_nodes": _joined(self._bootstrap),  # the default asks a name server, so it is always set
            "alert_mask": self._alert_mask(),
        }
        self._session = libtorrent.session(libtorrent.session_params(chosen))  # type: ignore[call-overload]
        self._session.set_alert_fd(self._wake.fileno())
        self._loop.add_reader(self._awake, self._on_alerts)

    def _alert_mask(self) -> int:
        """What is to be told. `dht` is one alert for each query of a stranger too, so only while it matters."""
        import libtorrent

        categories = libtorrent.alert_category
        always = categories.dht_operation | categories.status | categories.error
        return always | (categories.dht if self._puts or not self._is_bootstrapped else 0)

    def _expect(self, puts: int, is_bootstrapped: bool) -> None:
        before = self._alert_mask()
        self._puts, self._is_bootstrapped = max(0, puts), is_bootstrapped
        if self._session is not None and self._alert_mask() != before:
            self._session.apply_settings({"alert_mask": self._alert_mask()})

    @staticmethod
    def _own_ids(session: libtorrent.session) -> list[libtorrent.sha1_hash]:
        """The node ids, one for each open socket. They change when the outside address becomes known (BEP 42)."""
        import libtorrent

        flags = libtorrent.save_state_flags_t.save_dht_state
        # The list of ids has no Python form, but its bencoding has: the id, then the address that it is for.
        state: Any = libtorrent.bdecode(libtorrent.write_session_params_buf(session.session_state(flags), flags))
        ids = state.get(b"dht state", {}).get(b"node-id", ())
        return [libtorrent.sha1_hash(each[:INFOHASH_BYTES]) for each in ids]

    def _apply_addresses(self) -> None:
        if self._session is not None:
            listening = _joined(Endpoint(address, self._port) for address in self._addresses)
            self._session.apply_settings({"listen_interfaces": listening})

    def _add_node(self, endpoint: Endpoint) -> None:
        if self._session is not None:
            self._session.add_dht_node((str(endpoint.host), endpoint.port))

    def _with_infohash(self, infohash: bytes, do: Callable[[Any, Any], None]) -> None:
        if len(infohash) != INFOHASH_BYTES:
            raise ValueError(f"an infohash has {INFOHASH_BYTES} bytes, not {len(infohash)}")
        if self._session is not None:
            import libtorrent

            do(self._session, libtorrent.sha1_hash(infohash))

    def _on_alerts(self) -> None:
        with suppress(BlockingIOError):
            self._awake.recv(WAKE_BYTES)
        if self._session is None:
            return
        # Alerts are gone with the next pop, which an event's receiver may cause: copy all before telling any.
        events = [event for alert in self._session.pop_alerts() for event in self._events_of(alert)]
        for event in events:
            self._on_event(event)

    def _events_of(self, alert: Any) -> Iterator[MainlineEvent]:
        match type(alert).__name__:
            case "dht_live_nodes_alert":
                self._on_live_nodes(alert)
            case "listen_succeeded_alert":
                self._on_listening(alert)
            case "listen_failed_alert":
                yield from self._on_listen_failed(alert)
            case _:
                event = event_of(alert)
                if isinstance(event, ItemStored):
                    self._expect(self._puts - 1, self._is_bootstrapped)
                elif isinstance(event, Bootstrapped):
                    self._expect(self._puts, True)
                if event is not None:
                    yield event

    def _on_live_nodes(self, alert: Any) -> None:
        waiting = self._live.pop(alert.node_id.to_bytes(), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(live_nodes(alert))

    def _on_listening(self, alert: Any) -> None:
        endpoint = Endpoint.of(alert.address, alert.port)
        if str(alert.socket_type) == "tcp":
            close_tcp_listener(endpoint)
        elif endpoint.host in self._addresses and endpoint.port == self._port:
            self._is_open.add(endpoint.host)
            self._enter()

    def _enter(self) -> None:
        """Enters the DHT through all sockets that are open.

        A DHT that was started before a socket was opened never bootstraps through that socket (seen with 2.1.1).
        """
        if self._session is None:
            return
        self._session.apply_settings({"enable_dht": False})
        self._session.apply_settings({"enable_dht": True})
        for node in self._nodes:  # the routing tables are new
            self._add_node(node)

    def _on_listen_failed(self, alert: Any) -> Iterator[Trouble]:
        """Moves to another port where this one is taken, as upstream does; else says why an address is not open."""
        import libtorrent

        address = next((each for each in self._addresses if str(each) == alert.address), None)
        is_ours_closing = alert.op == libtorrent.operation_t.sock_accept  # what `close_tcp_listener` did
        if is_ours_closing or address is None or address in self._refused or alert.port != self._port:
            return
        if alert.error.value() == errno.EADDRINUSE and self._ports_tried < PORT_TRIES:
            self._ports_tried += 1
            self._port = _free_port(address) or self._port
            self._is_open.clear()
            self._apply_addresses()
            return
        self._refused.add(address)  # told once; libtorrent tries again whenever the host's addresses change
        yield Trouble(f"The DHT cannot use UDP port {alert.port} of {alert.address}: {alert.error.message()}.")

    def _tell_trouble(self, reason: str) -> None:
        self._on_event(Trouble(reason))


def expanded_key(seed: bytes) -> bytes:
    """Returns the private key of an Ed25519 seed as libtorrent takes it: the clamped scalar, then the prefix.

    RFC 8032, section 5.1.5, steps 1 and 2, without dividing. 64 bytes.
    """
    if len(seed) != SEED_BYTES:
        raise ValueError(f"an Ed25519 seed has {SEED_BYTES} bytes, not {len(seed)}")
    expanded = bytearray(hashlib.sha512(seed).digest())
    expanded[0] &= 0b11111000
    expanded[31] &= 0b00111111
    expanded[31] |= 0b01000000
    return bytes(expanded)


def _joined(endpoints: Iterable[Endpoint]) -> str:
    return ",".join(map(str, endpoints))


def _free_port(address: IPAddress) -> int | None:
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((str(address), 0))
        return int(probe.getsockname()[1])
    return None
