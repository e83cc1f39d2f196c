"""The Internet gateway device of UPnP: its description, and orders to it by SOAP (WANIPConnection:1 and :2)."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address

from wgmesh.core.errors import MalformedMessage
from wgmesh.nat.portmapping import documents, http
from wgmesh.nat.portmapping.steps import Control

_NAMESPACE = "urn:schemas-upnp-org:service:"
WITH_ANY_PORT = f"{_NAMESPACE}WANIPConnection:2"
# the best first: version 2 gives another port where the wanted one is taken
SERVICE_TYPES = (WITH_ANY_PORT, f"{_NAMESPACE}WANIPConnection:1", f"{_NAMESPACE}WANPPPConnection:1")
DESCRIPTION = "wgmesh"

# WANIPConnection:1, section 2.4
NO_SUCH_ENTRY = 714
CONFLICT = 718
ONLY_PERMANENT = 725


class OrderRefused(MalformedMessage):
    """The device refuses, with an error code of UPnP, 0 where it gives none."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the router refuses, with UPnP error {code}")
        self.code = code


def description_request(location: http.Url) -> bytes:
    return http.request("GET", location)


def decode_description(data: bytes, location: http.Url) -> Control:
    """Returns where orders go: only to the address that the description came from. Raises MalformedMessage."""
    response = http.decode_response(data)
    if response.status != 200:
        raise MalformedMessage(f"status {response.status} for the description")
    services: dict[str, str] = {}
    for element in documents.parse(response.body):
        if element.name == "service":
            services.setdefault(element.text_of("serviceType"), element.text_of("controlURL"))
    for service_type in SERVICE_TYPES:
        if services.get(service_type):
            url = http.parse_url(services[service_type], location)
            if url.to.host != location.to.host:
                raise MalformedMessage("a device that takes orders at another address than its own")
            return Control(url.to, url.path, service_type)
    raise MalformedMessage("a device without a WAN connection")


def order(control: Control, action: str, *arguments: tuple[str, str]) -> bytes:
    """Returns the HTTP request of one SOAP action. Values of arguments need no escaping: they are numbers and names."""
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in arguments)
    body = (
        '<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
        ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        f'<u:{action} xmlns:u="{control.service_type}">{inner}</u:{action}></s:Body></s:Envelope>'
    )
    headers = (
        ("Content-Type", 'text/xml; charset="utf-8"'),
        ("SOAPAction", f'"{control.service_type}#{action}"'),
    )
    return http.request("POST", http.Url(control.to, control.path), headers, body.encode("ascii"))


def external_address(control: Control) -> bytes:
    return order(control, "GetExternalIPAddress")


def add_mapping(control: Control, own: IPv4Address, port: int, external_port: int, lifetime_s: int) -> bytes:
    return order(control, "AddPortMapping", *_mapping(own, port, external_port, lifetime_s))


def add_any_mapping(control: Control, own: IPv4Address, port: int, lifetime_s: int) -> bytes:
    return order(control, "AddAnyPortMapping", *_mapping(own, port, port, lifetime_s))


def delete_mapping(control: Control, external_port: int) -> bytes:
    return order(control, "DeletePortMapping", *_outside(external_port))


def decode_done(data: bytes) -> None:
    """Takes the answer to an order. Raises OrderRefused and MalformedMessage, as the functions below."""
    _answer(data)


def decode_external_address(data: bytes) -> IPv4Address:
    text = _text(data, "NewExternalIPAddress")
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise MalformedMessage("no external address") from None


def decode_reserved_port(data: bytes) -> int:
    text = _text(data, "NewReservedPort")
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise MalformedMessage("no external port")
    return int(text)


def _text(data: bytes, name: str) -> str:
    return next((element.text.strip() for element in _answer(data) if element.name == name), "")


def _answer(data: bytes) -> tuple[documents.Element, ...]:
    response = http.decode_response(data)
    if response.status == 200:
        return documents.parse(response.body)
    codes = [element.text.strip() for element in documents.parse(response.body) if element.name == "errorCode"]
    if codes and codes[0].isascii() and codes[0].isdigit() and len(codes[0]) <= 4:
        raise OrderRefused(int(codes[0]))
    raise OrderRefused(0)


def _outside(external_port: int) -> tuple[tuple[str, str], ...]:
    return (("NewRemoteHost", ""), ("NewExternalPort", str(external_port)), ("NewProtocol", "UDP"))


def _mapping(own: IPv4Address, port: int, external_port: int, lifetime_s: int) -> tuple[tuple[str, str], ...]:
    return (
        *_outside(external_port),
        ("NewInternalPort", str(port)),
        ("NewInternalClient", str(own)),
        ("NewEnabled", "1"),
        ("NewPortMappingDescription", DESCRIPTION),
        ("NewLeaseDuration", str(lifetime_s)),
    )
