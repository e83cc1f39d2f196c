"""One node of a private Mainline swarm. A program: `python dht_node.py ADDRESS PORT BOOTSTRAP`."""

from __future__ import annotations

import os
import sys
import threading
import time

import libtorrent

# Nothing but the DHT, and without the rules that no private swarm can keep.
SETTINGS = {
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_ignore_dark_internet": False,
    "dht_prefer_verified_node_ids": False,
    "dht_block_ratelimit": 100000,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_tcp": False,
    "enable_outgoing_tcp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
}


WARM_NODES = 3  # of the six others
ASK_AGAIN_S = 0.2


def main() -> None:
    address, port, bootstrap = sys.argv[1:4]
    listening = {"listen_interfaces": f"{address}:{port}", "dht_bootstrap_nodes": bootstrap}
    session = libtorrent.session({**SETTINGS, **listening})  # type: ignore[call-overload]
    print("running", session.listen_port(), flush=True)
    is_warm = False
    while not is_warm:  # a look-up fills the table, as the traffic of a day does
        session.dht_get_peers(libtorrent.sha1_hash(os.urandom(20)))
        session.post_session_stats()
        time.sleep(ASK_AGAIN_S)
        stats = [alert for alert in session.pop_alerts() if type(alert).__name__ == "session_stats_alert"]
        is_warm = any(each.values["dht.dht_nodes"] >= WARM_NODES for each in stats)
    print("warm", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
