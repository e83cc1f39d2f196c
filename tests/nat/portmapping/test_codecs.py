"""The codecs take bytes from anybody who answers on the link: they refuse with the one typed error, or understand."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.doubles.router import DESCRIPTION, GATEWAY, OWN
from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint
from wgmesh.nat.portmapping import documents, http, igd, natpmp, pcp, ssdp
from wgmesh.nat.portmapping.steps import Control

NONCE = bytes(range(12))
LOCATION = http.Url(Endpoint(GATEWAY, 5000), "/desc.xml")
CONTROL = Control(Endpoint(GATEWAY, 5000), "/ctl", igd.SERVICE_TYPES[1])
# RFC 6887, figures 9 and 10: MAP from 198.51.100.7:51820 for two hours
MAP_ANSWER = bytes.fromhex(
    "02810000 00001c20 000003e8 000000000000000000000000"
    "000102030405060708090a0b 11000000 ca6c ca6d 00000000000000000000ffff c6336407"
)
# RFC 6886, section 3.3
NATPMP_ANSWER = bytes.fromhex("0081 0000 000003e8 ca6c ca6d 00001c20")
NATPMP_ADDRESS = bytes.fromhex("0080 0000 000003e8 c6336407")

DECODERS: dict[str, Callable[[bytes], object]] = {
    "pcp map": lambda data: pcp.decode_map(data, NONCE, 51820),
    "pcp announcement": pcp.decode_announcement,
    "natpmp address": natpmp.decode_address,
    "natpmp map": lambda data: natpmp.decode_map(data, 51820),
    "ssdp": lambda data: ssdp.decode_response(data, GATEWAY),
    "http": http.decode_response,
    "xml": documents.parse,
    "description": lambda data: igd.decode_description(data, LOCATION),
    "done": igd.decode_done,
    "address": igd.decode_external_address,
    "port": igd.decode_reserved_port,
}


def answered(body: bytes, status: int = 200) -> bytes:
    return f"HTTP/1.1 {status} X\r\n\r\n".encode() + body


SEEDS = (
    MAP_ANSWER,
    NATPMP_ANSWER,
    NATPMP_ADDRESS,
    answered(DESCRIPTION % 1),
    answered(b"<a><NewExternalIPAddress>1.2.3.4</NewExternalIPAddress></a>"),
    f"HTTP/1.1 200 OK\r\nST: {ssdp.TARGET}\r\nLOCATION: http://192.168.7.1:5000/desc.xml\r\n\r\n".encode(),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n<a>\r\n4\r\n</a>\r\n0\r\n\r\n",
)


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=200))
def test_no_bytes_make_a_decoder_raise_anything_but_its_error(name: str, data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        DECODERS[name](data)


@pytest.mark.parametrize("name", DECODERS)
@given(seed=st.sampled_from(SEEDS), at=st.integers(0, 700), with_=st.binary(max_size=6), cut=st.integers(0, 700))
def test_no_damaged_message_makes_a_decoder_raise_anything_but_its_error(
    name: str, seed: bytes, at: int, with_: bytes, cut: int
) -> None:
    data = (seed[:at] + with_ + seed[at + len(with_) :])[: max(cut, at)]
    with contextlib.suppress(MalformedMessage):
        DECODERS[name](data)


def test_a_pcp_answer_is_understood() -> None:
    answer = pcp.decode_map(MAP_ANSWER, NONCE, 51820)

    assert answer == pcp.Answer(0, 7200, 1000, Endpoint.of("198.51.100.7", 51821))


def test_a_pcp_request_has_the_bytes_of_the_rfc() -> None:
    asked = pcp.map_request(OWN, NONCE, 51820, 7200)

    assert asked == bytes.fromhex("02010000 00001c20 00000000000000000000ffff c0a80702") + NONCE + bytes.fromhex(
        "11000000 ca6c ca6c 00000000000000000000ffff 00000000"
    )
    assert pcp.map_request(OWN, NONCE, 51820, 0)[42:44] == b"\0\0"  # a deletion suggests no port


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 1), (1, 0x80), (1, 0x01), (24, 9), (36, 6), (41, 0x6D)],
    ids=["version", "opcode", "request", "nonce", "protocol", "port"],
)
def test_a_pcp_answer_to_another_question_is_refused(at: int, value: int) -> None:
    data = bytearray(MAP_ANSWER)
    data[at] = value
    with pytest.raises(MalformedMessage):
        pcp.decode_map(bytes(data), NONCE, 51820)


@pytest.mark.parametrize(
    "data",
    [
        MAP_ANSWER[:-4],
        MAP_ANSWER + b"\0",
        MAP_ANSWER + bytes(1100),
        MAP_ANSWER[:42] + b"\0\0" + MAP_ANSWER[44:],
        MAP_ANSWER[:44] + bytes.fromhex("20010db8000000000000000000000001"),
        bytes.fromhex("0001000100000000"),
        bytes.fromhex("0081000300000000"),
    ],
    ids=["short", "odd", "long", "port 0", "ipv6", "a request", "another refusal"],
)
def test_a_pcp_answer_that_cannot_be_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        pcp.decode_map(data, NONCE, 51820)


def test_a_refusal_of_pcp_needs_the_nonce_too() -> None:
    data = bytearray(MAP_ANSWER)
    data[3] = 2
    assert pcp.decode_map(bytes(data), NONCE, 51820).result == 2
    with pytest.raises(MalformedMessage):
        pcp.decode_map(bytes(data), bytes(12), 51820)


@pytest.mark.parametrize("data", [b"\0\x81\0\x01", b"\x01\x81\0\x01" + bytes(20)])
def test_a_server_of_another_version_is_told_apart_from_noise(data: bytes) -> None:
    assert pcp.decode_map(data, NONCE, 51820).result == pcp.UNSUPPORTED_VERSION


def test_natpmp_answers_are_understood() -> None:
    assert natpmp.decode_address(NATPMP_ADDRESS) == natpmp.Answer(0, 1000, IPv4Address("198.51.100.7"))
    assert natpmp.decode_map(NATPMP_ANSWER, 51820) == natpmp.Answer(0, 1000, None, 51821, 7200)
    assert natpmp.map_request(51820, 7200) == bytes.fromhex("0001 0000 ca6c ca6c 00001c20")
    assert natpmp.map_request(51820, 0) == bytes.fromhex("0001 0000 ca6c 0000 00000000")


@pytest.mark.parametrize(
    "data",
    [
        NATPMP_ANSWER[:-1],
        NATPMP_ANSWER + b"\0",
        b"\x02" + NATPMP_ANSWER[1:],
        NATPMP_ANSWER[:1] + b"\x82" + NATPMP_ANSWER[2:],
        NATPMP_ANSWER[:8] + b"\0\1" + NATPMP_ANSWER[10:],
        NATPMP_ANSWER[:10] + b"\0\0" + NATPMP_ANSWER[12:],
    ],
    ids=["short", "long", "version", "opcode", "another port", "port 0"],
)
def test_a_natpmp_answer_to_another_question_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        natpmp.decode_map(data, 51820)


def test_a_natpmp_deletion_is_confirmed_with_port_0() -> None:
    answer = natpmp.decode_map(NATPMP_ANSWER[:10] + bytes(6), 51820, is_deletion=True)

    assert answer.external_port == 0


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>',
        b"<!DOCTYPE a><a/>",
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><a/>'.encode("utf-16"),
        b"<a>" * 100,
        b"<a>" * (documents.DEPTH_MAX + 1) + b"</a>" * (documents.DEPTH_MAX + 1),
        b"<a>" + b"<b/>" * documents.ELEMENTS_MAX + b"</a>",
        b"<a>&e;</a>",
        b'<?xml version="1.0" encoding="nobody"?><a/>',
    ],
)
def test_xml_with_entities_or_without_bounds_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        documents.parse(body)


def test_long_text_in_xml_is_cut() -> None:
    [element] = documents.parse(b"<a>" + b"x" * 5000 + b"</a>")

    assert len(element.text) == documents.TEXT_MAX


def test_a_description_names_the_best_service_wherever_it_stands() -> None:
    control = igd.decode_description(answered(DESCRIPTION % 2), LOCATION)

    assert control == Control(LOCATION.to, "/ctl", igd.WITH_ANY_PORT)


@pytest.mark.parametrize("url", [b"http://192.168.7.66:5000/ctl", b"http://router.example/ctl", b"/a b", b"/a\nb"])
def test_orders_go_only_to_the_address_of_the_gateway_and_to_a_plain_path(url: bytes) -> None:
    with pytest.raises(MalformedMessage):
        igd.decode_description(answered((DESCRIPTION % 1).replace(b"/ctl", url)), LOCATION)


def test_a_description_with_a_status_of_failure_or_without_a_wan_connection_is_refused() -> None:
    for data in (answered(DESCRIPTION % 1, 404), answered(DESCRIPTION % 7), answered(b"<root/>")):
        with pytest.raises(MalformedMessage):
            igd.decode_description(data, LOCATION)


def test_an_error_of_upnp_is_told_by_its_code() -> None:
    for body, code in (
        (b"<a><errorCode>718</errorCode></a>", 718),
        (b"<a/>", 0),
        (b"<a><errorCode>x</errorCode></a>", 0),
    ):
        with pytest.raises(igd.OrderRefused) as refused:
            igd.decode_done(answered(body, 500))
        assert refused.value.code == code


def test_an_order_is_a_request_of_soap() -> None:
    request = igd.add_mapping(CONTROL, OWN, 51820, 51821, 7200)

    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /ctl HTTP/1.1\r\nHost: 192.168.7.1:5000\r\n")
    assert f'SOAPAction: "{CONTROL.service_type}#AddPortMapping"'.encode() in head
    assert f"Content-Length: {len(body)}".encode() in head
    values = {element.name: element.text for element in documents.parse(body)}
    assert values["NewExternalPort"] == "51821"
    assert (values["NewInternalPort"], values["NewInternalClient"]) == ("51820", str(OWN))
    assert (values["NewProtocol"], values["NewLeaseDuration"]) == ("UDP", "7200")


@pytest.mark.parametrize("port", [b"0", b"65536", b"-1", b"", b"1e3"])
def test_a_reserved_port_that_is_none_is_refused(port: bytes) -> None:
    with pytest.raises(MalformedMessage):
        igd.decode_reserved_port(answered(b"<a><NewReservedPort>" + port + b"</NewReservedPort></a>"))


def test_a_response_is_bounded_and_whole() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd"
    assert http.decode_response(whole).body == b"abc"
    assert http.decode_response(SEEDS[-1]).body == b"<a></a>"
    for data in (
        whole.replace(b": 3", b": 5"),
        whole.replace(b": 3", b": -3"),
        answered(bytes(http.RESPONSE_MAX_BYTES)),
        SEEDS[-1].replace(b"3\r\n<a>", b"fffff\r\n<a>"),
        SEEDS[-1][:-9],
        b"RTSP/1.0 200 OK\r\n\r\n",
    ):
        with pytest.raises(MalformedMessage):
            http.decode_response(data)


@pytest.mark.parametrize(
    "change",
    [
        (b"200 OK", b"404 No"),
        (b"InternetGatewayDevice:1", b"MediaServer:1"),
        (b"192.168.7.1:", b"192.168.7.66:"),
        (b"http://", b"https://"),
        (b":5000", b":500000"),
        (b"/desc.xml", b"/" + b"x" * 600),
        (b"\r\n\r\n", b"\r\nX: " + b"x" * 2048 + b"\r\n\r\n"),
    ],
)
def test_only_the_gateways_own_answer_to_our_search_is_taken(change: tuple[bytes, bytes]) -> None:
    data = SEEDS[5]
    assert ssdp.decode_response(data, GATEWAY) == LOCATION
    with pytest.raises(MalformedMessage):
        ssdp.decode_response(data.replace(*change), GATEWAY)
