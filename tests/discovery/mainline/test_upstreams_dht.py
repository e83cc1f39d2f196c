"""Upstream's own DHT packets and registry entry: we announce, look up and read the same."""

from __future__ import annotations

import json
import random

from support.vectors import load_vectors
from wgmesh.core.clock import WallClock
from wgmesh.core.keys.epoch_keys import epoch_keys
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.wire.announcement import decode_announcement
from wgmesh.core.wire.envelope import open_envelope
from wgmesh.discovery.dht import Announce, LookUp
from wgmesh.discovery.mainline.schedule import MainlineSchedule

LIVE = load_vectors("dht_live")
SECRET = Secret.parse(load_vectors("live_two_nodes")["secret"])
KEYS = derive(SECRET)


def announced() -> set[tuple[str, int]]:
    """What upstream announced: infohash and port."""
    arguments = [each["message"]["a"] for each in LIVE["packets"] if each["message"].get("q") == "announce_peer"]
    return {(each["info_hash"].removeprefix("hex:"), each["port"]) for each in arguments}


def the_hour() -> int:
    """The hour of the capture, whose timestamps are seconds of the run only."""
    hashes = {infohash for infohash, _ in announced()}
    newest = max(hour for hour in range(480_000, 530_000) if epoch_keys_infohash(hour) in hashes)
    return newest


def epoch_keys_infohash(hour: int) -> str:
    return epoch_keys(SECRET, hour).infohash.hex()


def test_we_announce_and_look_up_what_upstream_announces() -> None:
    ours, looked_up = asked_at(300.0)
    assert ours == announced()
    assert looked_up == {infohash for infohash, _ in announced()}
    assert LIVE["gossip_port"] == KEYS.gossip_port


def test_later_in_the_hour_we_are_under_the_one_id_that_all_look_up_and_still_look_up_both() -> None:
    ours, looked_up = asked_at(1800.0)
    assert ours == {(epoch_keys_infohash(the_hour()), KEYS.gossip_port)} < announced()
    assert looked_up == {infohash for infohash, _ in announced()}


def asked_at(second: float) -> tuple[set[tuple[str, int]], set[str]]:
    """What a node of ours announces, and what it looks up, when it starts at this second of upstream's hour."""
    now = the_hour() * 3600.0 + second
    plan = MainlineSchedule(WallClock(), SECRET, random.Random(1).random)
    plan.start(KEYS.gossip_port, now)
    asked = plan.due(now, 0)
    return (
        {(each.infohash.hex(), each.port) for each in asked if isinstance(each, Announce)},
        {each.infohash.hex() for each in asked if isinstance(each, LookUp)},
    )


def test_upstream_asks_for_the_permanent_id_and_we_do_not() -> None:
    """BUG 56, seen in the capture."""
    looked_up = {
        each["message"]["a"]["info_hash"].removeprefix("hex:")
        for each in LIVE["packets"]
        if each["message"].get("q") == "get_peers" and each["src"].startswith("10.88.0.1:")
    }
    hour = the_hour()
    hourly = {epoch_keys(SECRET, each).infohash.hex() for each in (hour, hour - 1)}
    assert looked_up - hourly == {KEYS.network_id.hex()}


def test_a_registry_entry_of_upstream_opens_with_its_secret() -> None:
    case = load_vectors("registry")
    keys = derive(Secret(case["secret"]))
    assert case["search_term"] == f"wgmesh-{keys.rendezvous_id.hex()}"
    sealed = case["body"].partition("<!-- PEERS:\n")[2].rpartition("\n:PEERS -->")[0]
    timestamp = json.loads(case["plaintext"])["timestamp"]
    body = decode_announcement(open_envelope(sealed.encode(), keys.gossip_key, timestamp).payload).announcement
    found = [(body.public_key, body.mesh_ipv4, body.endpoint, body.hostname, body.nat_type)]
    found += [
        (each.public_key, each.mesh_ipv4, each.endpoint, each.hostname, each.nat_type) for each in body.known_peers
    ]
    assert [(key.text, str(ip), str(endpoint), name, nat) for key, ip, endpoint, name, nat in found] == [
        (each["pubkey"], each["mesh_ip"], each["endpoint"], each["hostname"], each["nat_type"])
        for each in case["decrypted_peers"]
    ]
