"""Times, spans, keys, addresses and endpoints.

A snapshot repeats the addresses of all peers each time, and the standard library parses and prints an address in some
ten microseconds: remembered, a turn with twenty peers costs a third.
"""

from __future__ import annotations

import functools
import ipaddress
import math
from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from wgmesh.core.errors import InvalidInput
from wgmesh.core.keys.possession import PairKey
from wgmesh.core.model import Endpoint, IPAddress, IPInterface, IPNetwork, PresharedKey, PublicKey
from wgmesh.v1 import endpoint_pb2

NANOSECONDS = 1_000_000_000
REMEMBERED = 8192  # addresses, in each direction: 1,000 peers have about 5,000


def timestamp(at: float | None) -> Timestamp | None:
    """Seconds of a steady or a Unix time to a timestamp; None stays None, which leaves a message field unset."""
    if at is None:
        return None
    return Timestamp(**_parts(at))


def seconds(message: Message, field: str) -> float | None:
    """The seconds or span in a timestamp or duration field of `message`; None if it is unset."""
    if not message.HasField(field):
        return None
    return seconds_of(getattr(message, field))


def seconds_of(value: Timestamp | Duration) -> float:
    """The seconds of a timestamp or the span of a duration."""
    return (value.seconds * NANOSECONDS + value.nanos) / NANOSECONDS  # one rounding, so that a time arrives as it left


def duration(span_s: float | None) -> Duration | None:
    """Seconds to a duration; None stays None."""
    if span_s is None:
        return None
    return Duration(**_parts(span_s))


def _parts(value: float) -> dict[str, int]:
    whole = math.floor(value)
    # the difference is exact, while value * 10**9 would lose hundreds of nanoseconds at today's date
    carry, nanos = divmod(round((value - whole) * NANOSECONDS), NANOSECONDS)
    return {"seconds": whole + carry, "nanos": nanos}


def public_key(raw: bytes) -> PublicKey:
    """Raises InvalidInput unless `raw` has 32 bytes."""
    try:
        return PublicKey(raw)
    except ValueError as error:
        raise InvalidInput(str(error)) from None


def preshared_key(raw: bytes) -> PresharedKey:
    """Raises InvalidInput unless `raw` has 32 bytes."""
    try:
        return PresharedKey(raw)
    except ValueError as error:
        raise InvalidInput(str(error)) from None


def pair_key(raw: bytes) -> PairKey:
    """Raises InvalidInput unless `raw` has 32 bytes."""
    try:
        return PairKey(raw)
    except ValueError as error:
        raise InvalidInput(str(error)) from None


def endpoint_to_proto(endpoint: Endpoint | None) -> endpoint_pb2.Endpoint | None:
    if endpoint is None:
        return None
    return endpoint_pb2.Endpoint(host=text(endpoint.host), port=endpoint.port)


def endpoint_from_proto(message: Message, field: str) -> Endpoint | None:
    """The endpoint in a field of `message`; None if it is unset. Raises InvalidInput."""
    return endpoint_value(getattr(message, field)) if message.HasField(field) else None


def endpoint_value(message: endpoint_pb2.Endpoint) -> Endpoint:
    """Raises InvalidInput."""
    return _endpoint(message.host, message.port)


@functools.lru_cache(REMEMBERED)
def _endpoint(host: str, port: int) -> Endpoint:
    try:
        return Endpoint.of(host, port)
    except ValueError as error:
        raise InvalidInput(str(error)) from None


@functools.lru_cache(REMEMBERED)
def ipv4(text: str) -> ipaddress.IPv4Address:
    """Raises InvalidInput."""
    try:
        return ipaddress.IPv4Address(text)
    except ValueError as error:
        raise InvalidInput(str(error)) from None


@functools.lru_cache(REMEMBERED)
def ipv6(text: str) -> ipaddress.IPv6Address:
    """Raises InvalidInput."""
    try:
        return ipaddress.IPv6Address(text)
    except ValueError as error:
        raise InvalidInput(str(error)) from None


@functools.lru_cache(REMEMBERED)
def network(text: str) -> IPNetwork:
    """Raises InvalidInput, also for host bits."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise InvalidInput(str(error)) from None


@functools.lru_cache(REMEMBERED)
def interface_address(text: str) -> IPInterface:
    """Raises InvalidInput."""
    try:
        return ipaddress.ip_interface(text)
    except ValueError as error:
        raise InvalidInput(str(error)) from None


@functools.lru_cache(REMEMBERED)
def text(value: IPAddress | IPNetwork | IPInterface) -> str:
    """An address, network or interface address as text."""
    return str(value)


def texts(values: Iterable[IPAddress | IPNetwork | IPInterface]) -> list[str]:
    """The values as text, sorted, so that equal sets make equal messages."""
    return sorted(text(value) for value in values)
