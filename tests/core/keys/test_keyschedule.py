from __future__ import annotations

import hmac
import ipaddress

from support.vectors import load_vectors
from wgmesh.core.keys.keyschedule import derive, hour_of, network_id_at
from wgmesh.core.keys.secret import Secret


def test_every_derived_value_equals_upstreams() -> None:
    for case in load_vectors("derive")["cases"]:
        if not (derived := case.get("derived")):
            continue
        keys = derive(Secret.parse(bytes.fromhex(case["raw_hex"]).decode("utf-8", "surrogateescape")))
        assert keys.network_id.hex() == derived["network_id_hex"]
        assert keys.gossip_key.hex() == derived["gossip_key_hex"]
        assert keys.mesh_subnet.hex() == derived["mesh_subnet_hex"]
        assert keys.mesh_prefix_v6.hex() == derived["mesh_prefix_v6_hex"]
        assert keys.multicast_id.hex() == derived["multicast_id_hex"]
        assert keys.psk.reveal().hex() == derived["psk_hex"]
        assert keys.gossip_port == derived["gossip_port"]
        assert keys.rendezvous_id.hex() == derived["rendezvous_id_hex"]
        assert f"wgmesh-{keys.rendezvous_id.hex()}" == derived["registry_search_term"]
        assert keys.membership_key.hex() == derived["membership_key_hex"]
        assert keys.epoch_seed.hex() == derived["epoch_seed_hex"]
        assert keys.network_id[:6].hex() == derived["mesh_id"]
        assert keys.dht_port == derived["dht_port"]
        assert keys.probe_port == derived["mesh_probe_tcp_port"]
        assert f"{keys.multicast_group}:{keys.lan_port}" == derived["lan_multicast_addr"]
        # Upstream's dump parsed this one secret a second time for its file name, which trimmed it again.
        if not case.get("parsed", "").startswith(" "):
            assert f"/var/lib/wgmesh/wg0-{keys.network_id[:8].hex()}-dht.nodes" == derived["dht_nodes_file_wg0"]


def test_hourly_network_ids_equal_upstreams() -> None:
    checked = 0
    for case in load_vectors("derive")["cases"]:
        for hourly in case.get("hourly_network_ids", ()):
            secret = Secret.parse(bytes.fromhex(case["raw_hex"]).decode("utf-8", "surrogateescape"))
            assert network_id_at(secret, hourly["unix_time"]).hex() == hourly["network_id_hex"]
            assert hour_of(hourly["unix_time"]) == hourly["hour_epoch"]
            checked += 1
    assert checked > 50


def test_the_networks_hold_the_derived_addresses() -> None:
    keys = derive(Secret("wgmesh-envelope-compatibility-secret"))
    assert keys.default_ipv4_network == ipaddress.ip_network("10.214.0.0/16")
    assert keys.ipv6_network == ipaddress.ip_network("fd61:b957:378d:4e94::/64")


def test_the_repr_shows_no_key() -> None:
    keys = derive(Secret("wgmesh-envelope-compatibility-secret"))
    shown = repr(keys)
    for value in (keys.gossip_key, keys.membership_key, keys.network_id, keys.psk.reveal()):
        assert value.hex() not in shown and repr(value) not in shown


def test_the_private_dht_has_a_key_of_its_own() -> None:
    keys = derive(Secret("wgmesh-envelope-compatibility-secret"))
    others = {keys.gossip_key, keys.membership_key, keys.epoch_seed, keys.psk.reveal()}

    assert len(keys.private_dht_key) == 32
    assert keys.private_dht_key not in others
    assert keys.private_dht_key != derive(Secret("wgmesh-envelope-compatibility-secre2")).private_dht_key
    assert keys.private_dht_key.hex() not in repr(keys) and repr(keys.private_dht_key) not in repr(keys)


def test_the_ipv6_group_is_a_transient_one_of_this_link_that_nobody_assigns() -> None:
    secret = b"wgmesh-envelope-compatibility-secret"
    extracted = hmac.digest(bytes(32), secret, "sha256")
    tail = hmac.digest(extracted, b"wgmesh-mcast-ipv6-v1\x01", "sha256")[:4]
    group = derive(Secret(secret.decode())).multicast_group6
    assert group.packed == bytes.fromhex("ff12") + bytes(10) + bytes([tail[0] | 0x80]) + tail[1:]
    assert group != derive(Secret("another-secret-of-another-mesh")).multicast_group6
