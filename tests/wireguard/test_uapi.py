"""The text protocol: what we ask, and what we make of any answer."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.devices import key, nets, psk
from wgmesh.core.errors import DeviceUnavailable
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import Endpoint, ObservedPeer
from wgmesh.wireguard import uapi
from wgmesh.wireguard.plan import SetPeer

ANSWER = f"""\
private_key={"e8" * 32}
listen_port=51820
fwmark=7
public_key={key(1).raw.hex()}
preshared_key={"01" * 32}
protocol_version=1
endpoint=[2001:db8::1]:51821
last_handshake_time_sec=1700000000
last_handshake_time_nsec=500000000
tx_bytes=12
rx_bytes=34
persistent_keepalive_interval=25
allowed_ip=10.77.1.1/32
allowed_ip=fd5a::1/128
a_key_of_the_future=x
public_key={key(2).raw.hex()}
preshared_key={"00" * 32}
last_handshake_time_sec=0
last_handshake_time_nsec=0
errno=0

""".encode()


def test_an_answer_gives_the_whole_device() -> None:
    state = uapi.parse_state(ANSWER)
    assert state.private_key == PrivateKey(bytes([0xE8] * 32))
    assert state.listen_port == 51820
    assert state.peers == (
        ObservedPeer(
            key(1),
            Endpoint.parse("[2001:db8::1]:51821"),
            nets("10.77.1.1/32", "fd5a::1/128"),
            25,
            1700000000.5,
            34,
            12,
            psk(1),
        ),
        ObservedPeer(key(2)),
    )


def test_the_private_key_is_not_in_the_repr() -> None:
    assert "e8e8" not in repr(uapi.parse_state(ANSWER))
    assert repr(bytes([0xE8] * 4))[2:-1] not in repr(uapi.parse_state(ANSWER))


def test_a_zero_private_key_means_none() -> None:
    assert uapi.parse_state(f"private_key={'00' * 32}\nerrno=0\n\n".encode()).private_key is None
    assert uapi.parse_state(b"errno=0\n\n").private_key is None


@pytest.mark.parametrize(("answer", "number"), [(b"errno=0\n\n", 0), (b"errno=-22\n\n", 22), (b"errno=98\n\n", 98)])
def test_the_error_number_ends_an_answer(answer: bytes, number: int) -> None:
    assert uapi.parse_error_number(answer) == number


@given(st.binary())
def test_no_answer_crashes_the_parser(answer: bytes) -> None:
    for parse in (uapi.parse_state, uapi.parse_error_number):
        with suppress(DeviceUnavailable):
            parse(answer)


@given(st.lists(st.sampled_from(ANSWER.decode().splitlines()), max_size=30), st.integers(0, 400))
def test_a_mangled_answer_fails_with_a_typed_error_and_quotes_no_value(lines: list[str], cut: int) -> None:
    answer = "\n".join(lines).encode()[:cut]
    try:
        uapi.parse_state(answer)
    except DeviceUnavailable as error:
        assert "e8e8" not in str(error)


networks = st.ip_addresses().map(lambda address: ipaddress.ip_network(address))
set_peers = st.builds(
    SetPeer,
    st.integers(1, 63).map(key),
    st.booleans(),
    st.none() | st.integers(1, 9).map(psk),
    st.none() | st.builds(lambda h, p: Endpoint.of(str(h), p), st.ip_addresses(), st.integers(1, 65535)),
    st.none() | st.frozensets(networks),
    st.none() | st.integers(0, 65535),
)


@given(set_peers)
def test_what_is_asked_for_is_what_an_answer_would_say(action: SetPeer) -> None:
    request = uapi.set_peer_request(action)
    assert request.startswith(b"set=1\n") and request.endswith(b"\n\n") and request.count(b"\n\n") == 1
    assert (b"update_only=true" in request) is not action.new
    (peer,) = uapi.parse_state(request).peers
    assert peer.public_key == action.public_key
    assert peer.preshared_key == action.preshared_key
    assert peer.endpoint == action.endpoint
    assert peer.allowed_ips == (action.allowed_ips or frozenset())
    assert peer.persistent_keepalive_s == (action.persistent_keepalive_s or 0)
    assert (b"replace_allowed_ips=true" in request) is (action.allowed_ips is not None)


def test_a_removal_names_the_peer() -> None:
    assert uapi.remove_peer_request(key(1)) == f"set=1\npublic_key={key(1).raw.hex()}\nremove=true\n\n".encode()
