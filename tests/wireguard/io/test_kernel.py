"""Dumps of the kernel come in pieces."""

from __future__ import annotations

import base64
from typing import Any

from support.devices import key, nets, psk
from wgmesh.core.model import Endpoint, ObservedPeer
from wgmesh.wireguard.io.kernel import merge_dump, peer_attributes
from wgmesh.wireguard.plan import SetPeer


class Message(dict[str, Any]):
    """An answer as pyroute2 gives it: attributes by name."""

    def get_attr(self, name: str) -> Any:
        return self.get(name)


def peer_message(number: int, *networks: str, **more: Any) -> Message:
    allowed = [{"addr": network} for network in networks]
    return Message(WGPEER_A_PUBLIC_KEY={"value": key(number).text.encode()}, WGPEER_A_ALLOWEDIPS=allowed, **more)


def test_the_pieces_of_a_dump_are_put_together() -> None:
    first = peer_message(
        1,
        "10.77.1.1/32",
        WGPEER_A_PRESHARED_KEY={"value": base64.b64encode(psk(1).reveal())},
        WGPEER_A_ENDPOINT={"addr": "2001:db8::1", "port": 51821},
        WGPEER_A_LAST_HANDSHAKE_TIME={"tv_sec": 1700000000, "tv_nsec": 500000000},
        WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL=25,
        WGPEER_A_RX_BYTES=34,
        WGPEER_A_TX_BYTES=12,
    )
    state = merge_dump(
        [
            Message(
                WGDEVICE_A_PUBLIC_KEY={"value": key(9).text.encode()},
                WGDEVICE_A_LISTEN_PORT=51820,
                WGDEVICE_A_PEERS=[first],
            ),
            Message(WGDEVICE_A_PEERS=[peer_message(1, "fd5a::1/128"), peer_message(2)]),
            Message(WGDEVICE_A_PEERS=[peer_message(3, "10.77.1.3/32")]),
        ]
    )
    assert state.public_key == key(9)
    assert state.listen_port == 51820
    endpoint = Endpoint.parse("[2001:db8::1]:51821")
    assert state.peers == (
        ObservedPeer(key(1), endpoint, nets("10.77.1.1/32", "fd5a::1/128"), 25, 1700000000.5, 34, 12, psk(1)),
        ObservedPeer(key(2)),
        ObservedPeer(key(3), allowed_ips=nets("10.77.1.3/32")),
    )


def test_a_preshared_key_of_zeros_means_none() -> None:
    zeros = {"value": base64.b64encode(bytes(32))}
    state = merge_dump([Message(WGDEVICE_A_PEERS=[peer_message(1, WGPEER_A_PRESHARED_KEY=zeros)])])
    assert state.peers[0].preshared_key is None
    assert state.public_key is None


def test_a_change_names_only_what_changes_and_adds_no_peer() -> None:
    assert peer_attributes(SetPeer(key(1), persistent_keepalive_s=25)) == {
        "public_key": key(1).text,
        "update_only": True,
        "persistent_keepalive": 25,
    }
    emptied = peer_attributes(SetPeer(key(1), allowed_ips=frozenset()))
    assert emptied["replace_allowed_ips"] is True and emptied["allowed_ips"] == []
