"""The STUN codec: RFC 8489, with the attributes of RFC 5780.

A message is a header and a list of attributes; each attribute that is understood has one row in `CODECS`. Attributes
that are not understood, or whose value is not what their type demands, are passed over: a server that says one odd
thing beside a good address has still told the address. What makes the whole message unusable raises MalformedMessage.
"""

from __future__ import annotations

import ipaddress
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint

# RFC 8489
MAGIC_COOKIE = 0x2112A442  # section 5
HEADER_BYTES = 20  # section 5
TRANSACTION_ID_BYTES = 12  # section 5
FINGERPRINT_XOR = 0x5354554E  # section 14.7
SOFTWARE_BYTES_MAX = 763  # section 14.14

_HEADER = struct.Struct("!HHI12s")
_ATTRIBUTE_HEADER = struct.Struct("!HH")
_COOKIE_BYTES = MAGIC_COOKIE.to_bytes(4, "big")
_FAMILY_BYTES = {1: 4, 2: 16}  # section 14.1: address family -> length of the address


class MessageType(IntEnum):
    """The messages of the Binding method."""

    BINDING_REQUEST = 0x0001
    BINDING_SUCCESS = 0x0101
    BINDING_ERROR = 0x0111


class AttributeType(IntEnum):
    """The attributes that are understood."""

    MAPPED_ADDRESS = 0x0001
    CHANGE_REQUEST = 0x0003
    ERROR_CODE = 0x0009
    XOR_MAPPED_ADDRESS = 0x0020
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028
    RESPONSE_ORIGIN = 0x802B
    OTHER_ADDRESS = 0x802C


class Change(IntFlag):
    """From where else the answer is wanted: the flags of CHANGE-REQUEST (RFC 5780, section 7.2)."""

    NOTHING = 0
    PORT = 0x02
    ADDRESS = 0x04


Value = Endpoint | str | int


@dataclass(frozen=True, slots=True)
class Attribute:
    """One understood attribute: an Endpoint for addresses, text for SOFTWARE, a number for the others."""

    type: AttributeType
    value: Value


@dataclass(frozen=True, slots=True)
class Message:
    """A STUN message. `transaction_id` has 12 bytes; `attributes` keep their order."""

    type: MessageType
    transaction_id: bytes
    attributes: tuple[Attribute, ...] = ()

    def endpoint(self, wanted: AttributeType) -> Endpoint | None:
        """Returns the first address of that type, as RFC 8489 section 14 demands of repeated attributes."""
        for attribute in self.attributes:
            if attribute.type is wanted and isinstance(attribute.value, Endpoint):
                return attribute.value
        return None

    @property
    def mapped(self) -> Endpoint | None:
        """Where the server saw the request come from. The XOR form wins: NATs rewrite addresses that they recognise."""
        return self.endpoint(AttributeType.XOR_MAPPED_ADDRESS) or self.endpoint(AttributeType.MAPPED_ADDRESS)


def request(transaction_id: bytes, change: Change = Change.NOTHING) -> bytes:
    """Returns a Binding request: 20 bytes, or 28 with a CHANGE-REQUEST."""
    wanted = (Attribute(AttributeType.CHANGE_REQUEST, int(change)),) if change else ()
    return encode(Message(MessageType.BINDING_REQUEST, transaction_id, wanted))


def encode(message: Message, *, fingerprint: bool = False) -> bytes:
    """Returns the message as bytes, with a computed FINGERPRINT at its end if wanted."""
    if len(message.transaction_id) != TRANSACTION_ID_BYTES:
        raise ValueError(f"a transaction id has {TRANSACTION_ID_BYTES} bytes, not {len(message.transaction_id)}")
    body = b"".join(_encode_attribute(attribute, message.transaction_id) for attribute in message.attributes)
    if not fingerprint:
        return _header(message, len(body)) + body
    covered = _header(message, len(body) + 8) + body  # section 14.7: the length already counts the FINGERPRINT
    return covered + _encode_attribute(Attribute(AttributeType.FINGERPRINT, _checksum(covered)), message.transaction_id)


def decode(data: bytes) -> Message:
    """Returns the message in a datagram; bytes after its stated length are ignored.

    Raises MalformedMessage for anything that is not a Binding message of RFC 8489, an attribute that claims more bytes
    than there are, or a FINGERPRINT that does not fit. A last attribute without padding is accepted.
    """
    message_type, length, transaction_id = _decode_header(data)
    end = HEADER_BYTES + length
    attributes = []
    offset = HEADER_BYTES
    while offset < end:
        if end - offset < _ATTRIBUTE_HEADER.size:
            raise MalformedMessage("a STUN attribute is cut off")
        number, size = _ATTRIBUTE_HEADER.unpack_from(data, offset)
        start = offset + _ATTRIBUTE_HEADER.size
        if size > end - start:
            raise MalformedMessage(f"a STUN attribute claims {size} bytes, {end - start} are left")
        attribute = _decode_attribute(number, data[start : start + size], transaction_id)
        if attribute is not None:
            if attribute.type is AttributeType.FINGERPRINT and attribute.value != _checksum(data[:offset]):
                raise MalformedMessage("a STUN fingerprint does not fit its message")
            attributes.append(attribute)
        offset = start + size + -size % 4
    return Message(message_type, transaction_id, tuple(attributes))


def _header(message: Message, length: int) -> bytes:
    return _HEADER.pack(message.type, length, MAGIC_COOKIE, message.transaction_id)


def _decode_header(data: bytes) -> tuple[MessageType, int, bytes]:
    if len(data) < HEADER_BYTES:
        raise MalformedMessage(f"a STUN message has at least {HEADER_BYTES} bytes, not {len(data)}")
    number, length, cookie, transaction_id = _HEADER.unpack_from(data)
    if cookie != MAGIC_COOKIE:
        raise MalformedMessage(f"not a STUN message: its cookie is 0x{cookie:08x}")
    if length > len(data) - HEADER_BYTES:
        raise MalformedMessage(f"a STUN message claims {length} bytes, {len(data) - HEADER_BYTES} came")
    try:
        return MessageType(number), length, transaction_id
    except ValueError:
        raise MalformedMessage(f"a STUN message of unknown type 0x{number:04x}") from None


def _encode_attribute(attribute: Attribute, transaction_id: bytes) -> bytes:
    value = CODECS[attribute.type].encode(attribute.value, transaction_id)
    return _ATTRIBUTE_HEADER.pack(attribute.type, len(value)) + value + bytes(-len(value) % 4)


def _decode_attribute(number: int, value: bytes, transaction_id: bytes) -> Attribute | None:
    try:
        attribute_type = AttributeType(number)
        return Attribute(attribute_type, CODECS[attribute_type].decode(value, transaction_id))
    except ValueError:
        return None


def _checksum(covered: bytes) -> int:
    return zlib.crc32(covered) ^ FINGERPRINT_XOR


def _encode_address(value: Value, _: bytes) -> bytes:
    if not isinstance(value, Endpoint):
        raise ValueError(f"an address attribute holds an endpoint, not {value!r}")
    return struct.pack("!BBH", 0, 1 if value.host.version == 4 else 2, value.port) + value.host.packed


def _decode_address(value: bytes, _: bytes) -> Endpoint:
    if len(value) < 4 or len(value) != 4 + _FAMILY_BYTES.get(value[1], -1):
        raise ValueError("an address of no known family, or of a wrong length")
    return Endpoint.of(str(ipaddress.ip_address(value[4:])), int.from_bytes(value[2:4], "big"))


def _xor_address(plain: bytes, transaction_id: bytes) -> bytes:
    """Section 14.2: the port is combined with the cookie's first half, the address with cookie and transaction id."""
    mask = b"\0\0" + _COOKIE_BYTES[:2] + _COOKIE_BYTES + transaction_id
    return bytes(byte ^ mask[index] for index, byte in enumerate(plain[: len(mask)]))


def _encode_xor_address(value: Value, transaction_id: bytes) -> bytes:
    return _xor_address(_encode_address(value, transaction_id), transaction_id)


def _decode_xor_address(value: bytes, transaction_id: bytes) -> Endpoint:
    if len(value) > 20:
        raise ValueError("too long for an address")
    return _decode_address(_xor_address(value, transaction_id), transaction_id)


def _encode_text(value: Value, _: bytes) -> bytes:
    return str(value).encode()[:SOFTWARE_BYTES_MAX]


def _decode_text(value: bytes, _: bytes) -> str:
    if len(value) > SOFTWARE_BYTES_MAX:
        raise ValueError("too long for a SOFTWARE text")
    return value.decode()


def _encode_number(value: Value, _: bytes) -> bytes:
    return struct.pack("!I", value)


def _decode_number(value: bytes, _: bytes) -> int:
    if len(value) != 4:
        raise ValueError("a number has four bytes")
    return int.from_bytes(value, "big")


def _encode_error_code(value: Value, _: bytes) -> bytes:
    code = int(value) if isinstance(value, int) else 0
    return struct.pack("!HBB", 0, code // 100, code % 100)


def _decode_error_code(value: bytes, _: bytes) -> int:
    if len(value) < 4:
        raise ValueError("an error code has at least four bytes")
    if value[3] > 99:  # RFC 8489, section 14.8
        raise ValueError("the number of an error code lies in 0..99")
    return (value[2] & 0x07) * 100 + value[3]


@dataclass(frozen=True, slots=True)
class Codec:
    """How one attribute's value is written and read; both get the transaction id. `decode` raises ValueError."""

    encode: Callable[[Value, bytes], bytes]
    decode: Callable[[bytes, bytes], Value]


CODECS: dict[AttributeType, Codec] = {
    AttributeType.MAPPED_ADDRESS: Codec(_encode_address, _decode_address),
    AttributeType.CHANGE_REQUEST: Codec(_encode_number, _decode_number),
    AttributeType.ERROR_CODE: Codec(_encode_error_code, _decode_error_code),
    AttributeType.XOR_MAPPED_ADDRESS: Codec(_encode_xor_address, _decode_xor_address),
    AttributeType.SOFTWARE: Codec(_encode_text, _decode_text),
    AttributeType.FINGERPRINT: Codec(_encode_number, _decode_number),
    AttributeType.RESPONSE_ORIGIN: Codec(_encode_address, _decode_address),
    AttributeType.OTHER_ADDRESS: Codec(_encode_address, _decode_address),
}
