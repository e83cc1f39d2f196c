"""The words of nf_tables on netlink: one table with its chains and rules, and what a dump of rules says.

Written by hand, because nothing else serves: see docs/decisions/0028-guard-of-mesh-addresses.md. The numbers are those
of linux/netfilter/nf_tables.h and nfnetlink.h; attributes and their numbers are in network order there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wgmesh.core.model import IPNetwork
from wgmesh.wireguard.guard import Address, Came, Chain, Goes, Match, Rule, Side

# linux/netlink.h
REQUEST, ACK, DUMP, CREATE, APPEND = 0x1, 0x4, 0x300, 0x400, 0x800
ERROR, DONE = 2, 3
NESTED, ATTRIBUTE_TYPE = 0x8000, 0x3FFF
HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
ERROR_NUMBER = struct.Struct("=i")

# linux/netfilter/nfnetlink.h
SUBSYSTEM = 10
BATCH_BEGIN, BATCH_END = 0x10, 0x11
FAMILY_HEADER = struct.Struct(">BBH")

# linux/netfilter/nf_tables.h
NEW_TABLE, DELETE_TABLE, NEW_CHAIN, NEW_RULE, GET_RULE = 0, 2, 3, 6, 7
INET, IPV4, IPV6 = 1, 2, 10
REGISTER, VERDICT_REGISTER = 1, 0
IIFNAME, OIFNAME, NFPROTO = 6, 7, 15
DROP, ACCEPT = 0, 1
INTERFACE_BYTES = 16
# Where the addresses are in the headers of IPv4 and IPv6 (RFC 791, RFC 8200): by version and side.
OFFSETS = {(4, Side.SOURCE): 12, (4, Side.DESTINATION): 16, (6, Side.SOURCE): 8, (6, Side.DESTINATION): 24}
HOOKS = {Chain.ARRIVING: 0, Chain.PASSING: 2, Chain.LEAVING: 4}  # NF_INET_PRE_ROUTING, FORWARD, POST_ROUTING
PRIORITY = -300  # NF_IP_PRI_RAW: before any rewriting of addresses, so that those of the wire are compared
COMMENT = 0  # libnftnl's kind of user data that `nft list` shows
TEXT_BYTES_MAX = 128  # nft prints no longer comment


@dataclass(frozen=True, slots=True)
class Answer:
    """One message of the kernel. `error` is an errno; 0 where the message is none, or tells of success."""

    sequence: int
    is_end: bool
    error: int
    name: str = ""


def replacement(table: str, rules: Iterable[Rule]) -> tuple[bytes, int]:
    """One transaction: the table with these rules in place of the one that may be there; no rules, no table.

    Returns it with the sequence number of the message that is acknowledged when all of it was done.
    """
    rules = tuple(rules)
    named = _text(1, table)
    messages = [
        (NEW_TABLE, CREATE, named),  # deleting what is not there is an error
        (DELETE_TABLE, 0, named),
    ]
    if rules:
        messages.append((NEW_TABLE, CREATE, named))
        messages += [(NEW_CHAIN, CREATE, _chain(table, chain)) for chain in Chain]
        messages += [(NEW_RULE, CREATE | APPEND, _rule(table, rule)) for rule in rules]
    last = len(messages)
    parts = [_message(BATCH_BEGIN, REQUEST, 0, 0, SUBSYSTEM, b"")]
    for number, (kind, flags, body) in enumerate(messages, start=1):
        acknowledge = ACK if number == last else 0
        parts.append(_message(SUBSYSTEM << 8 | kind, REQUEST | flags | acknowledge, number, INET, 0, body))
    parts.append(_message(BATCH_END, REQUEST, last + 1, 0, SUBSYSTEM, b""))
    return b"".join(parts), last


def question(table: str) -> bytes:
    """Asks for all rules of a table, which need not exist."""
    return _message(SUBSYSTEM << 8 | GET_RULE, REQUEST | DUMP, 1, INET, 0, _text(1, table))


def answers(data: bytes) -> Iterator[Answer]:
    """The messages of one datagram from the kernel."""
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, _, sequence, _ = HEADER.unpack_from(data, at)
        if length < HEADER.size:
            return
        body = data[at + HEADER.size : at + length]
        if kind in (ERROR, DONE):
            yield Answer(sequence, True, -ERROR_NUMBER.unpack_from(body)[0] if len(body) >= ERROR_NUMBER.size else 0)
        elif kind == SUBSYSTEM << 8 | NEW_RULE:
            yield Answer(sequence, False, 0, _rule_name(body[FAMILY_HEADER.size :]))
        at += _aligned(length)


def _rule_name(body: bytes) -> str:
    found = dict(_attributes(body))
    chain = found.get(2, b"").rstrip(b"\0").decode("ascii", "replace")
    data = found.get(7, b"")
    comment = data[2 : 2 + data[1]] if len(data) >= 2 and data[0] == COMMENT else b""
    return f"{chain}: {comment.rstrip(bytes(1)).decode('ascii', 'replace')}"


def _attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + ATTRIBUTE.size <= len(body):
        length, kind = ATTRIBUTE.unpack_from(body, at)
        if length < ATTRIBUTE.size:
            return
        yield kind & ATTRIBUTE_TYPE, body[at + ATTRIBUTE.size : at + length]
        at += _aligned(length)


def _chain(table: str, chain: Chain) -> bytes:
    hook = _nested(4, _number(1, HOOKS[chain]) + _number(2, PRIORITY))
    return _text(1, table) + _text(3, chain) + hook + _number(5, ACCEPT) + _text(7, "filter")


def _rule(table: str, rule: Rule) -> bytes:
    matches = b"".join(_matching(match) for match in rule.matches)
    code = _nested(2, _number(1, DROP if rule.drops else ACCEPT))
    verdict = _expression("immediate", _number(1, VERDICT_REGISTER) + _nested(2, code))
    comment = rule.text.encode("ascii")[: TEXT_BYTES_MAX - 1] + b"\0"
    data = bytes((COMMENT, len(comment))) + comment
    expressions = _nested(4, matches + verdict)
    return _text(1, table) + _text(2, rule.chain) + expressions + _attribute(7, data)


def _matching(match: Match) -> bytes:
    match match:
        case Came(interface):
            return _meta(IIFNAME) + _equal(interface.encode().ljust(INTERFACE_BYTES, b"\0"))
        case Goes(interface):
            return _meta(OIFNAME) + _equal(interface.encode().ljust(INTERFACE_BYTES, b"\0"))
        case Address(side, network):
            return _in_network(side, network)


def _in_network(side: Side, network: IPNetwork) -> bytes:
    size = network.max_prefixlen // 8
    load = _number(1, REGISTER) + _number(2, 1) + _number(3, OFFSETS[network.version, side]) + _number(4, size)
    parts = _meta(NFPROTO) + _equal(bytes((IPV4 if network.version == 4 else IPV6,))) + _expression("payload", load)
    if network.prefixlen < network.max_prefixlen:
        mask = _nested(4, _attribute(1, network.netmask.packed)) + _nested(5, _attribute(1, bytes(size)))
        registers = _number(1, REGISTER) + _number(2, REGISTER) + _number(3, size)
        parts += _expression("bitwise", registers + mask)
    return parts + _equal(network.network_address.packed)


def _meta(key: int) -> bytes:
    return _expression("meta", _number(1, REGISTER) + _number(2, key))


def _equal(value: bytes) -> bytes:
    return _expression("cmp", _number(1, REGISTER) + _number(2, 0) + _nested(3, _attribute(1, value)))


def _expression(name: str, data: bytes) -> bytes:
    return _nested(1, _text(1, name) + _nested(2, data))


def _message(kind: int, flags: int, sequence: int, family: int, resource: int, body: bytes) -> bytes:
    payload = FAMILY_HEADER.pack(family, 0, resource) + body
    return HEADER.pack(HEADER.size + len(payload), kind, flags, sequence, 0) + payload


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, value.to_bytes(4, "big", signed=value < 0))


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode("ascii") + b"\0")


def _nested(kind: int, body: bytes) -> bytes:
    return _attribute(kind | NESTED, body)


def _attribute(kind: int, body: bytes) -> bytes:
    length = ATTRIBUTE.size + len(body)
    return ATTRIBUTE.pack(length, kind) + body + bytes(_aligned(length) - length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
