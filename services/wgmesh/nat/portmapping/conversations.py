"""What is said to a router by each protocol: a generator that yields each step and is sent the answer to it.

None is sent where no answer came. A generator ends with None where WireGuard's port, the first one, is forwarded now,
and with a Failure otherwise. That a further port is refused makes no failure: the tunnel's is worth it alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable
from functools import partial
from ipaddress import IPv4Address
from typing import Any

from wgmesh.core.errors import MalformedMessage
from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.core.sansio import Transmit
from wgmesh.nat.portmapping import igd, natpmp, pcp, ssdp
from wgmesh.nat.portmapping.external import Judge
from wgmesh.nat.portmapping.steps import (
    LIFETIME_MIN_S,
    LIFETIME_S,
    Control,
    Failure,
    Fetch,
    Made,
    Protocol,
    Question,
    Site,
)

Step = Question | Fetch | Made
Conversation = Generator[Step, Any, Failure | None]

SILENT = Failure("it does not answer")
OTHER_PORTS = 4  # tried where a port is taken outside: two nodes behind one router, seldom more


def nonce(seed: bytes, port: int) -> bytes:
    """The nonce of a port's mapping: the same after a restart of this process, or the router refuses to renew it."""
    return hashlib.sha256(seed + port.to_bytes(2, "big")).digest()[: pcp.NONCE_BYTES]


def by_pcp(site: Site, ports: tuple[int, ...], seed: bytes, judge: Judge) -> Conversation:
    for port in ports:
        answer: pcp.Answer | None = yield _pcp_question(site, port, seed, LIFETIME_S)
        failure = SILENT
        if answer is not None and answer.external is not None:
            refused = _refused(answer.external.host, answer.lifetime_s, judge)
            if refused is None:
                yield Made(Protocol.PCP, port, answer.external, min(answer.lifetime_s, LIFETIME_S))
                continue
            yield _pcp_question(site, port, seed, 0, is_deletion=True)
            failure = refused
        elif answer is not None:
            failure = Failure(f"it {pcp.RESULTS.get(answer.result, f'refuses with code {answer.result}')}")
        if port == ports[0]:
            return failure
    return None


def by_natpmp(site: Site, ports: tuple[int, ...], seed: bytes, judge: Judge) -> Conversation:
    answer: natpmp.Answer | None = yield _question(site, natpmp.address_request(), natpmp.decode_address)
    if answer is None or answer.host is None:
        return _natpmp_failure(answer)
    host = answer.host
    refused = _refused(host, LIFETIME_S, judge)
    if refused is not None:
        return refused
    for port in ports:
        decode = partial(natpmp.decode_map, port=port)
        answer = yield _question(site, natpmp.map_request(port, LIFETIME_S), decode)
        if answer is not None and answer.result == natpmp.SUCCESS and answer.lifetime_s >= LIFETIME_MIN_S:
            lifetime_s = min(answer.lifetime_s, LIFETIME_S)
            yield Made(Protocol.NAT_PMP, port, Endpoint(host, answer.external_port), lifetime_s)
        elif port == ports[0]:
            return _natpmp_failure(answer)
    return None


def by_upnp(site: Site, ports: tuple[int, ...], seed: bytes, judge: Judge) -> Conversation:
    searches = (Transmit(ssdp.SEARCH, ssdp.GROUP), Transmit(ssdp.SEARCH, Endpoint(site.gateway, ssdp.PORT)))
    location = yield Question(searches, partial(ssdp.decode_response, gateway=site.gateway), port=None)
    if location is None:
        return SILENT
    try:
        description = yield from _fetched(Fetch(location.to, igd.description_request(location)))
        control = igd.decode_description(description, location)
        host = igd.decode_external_address((yield from _fetched(Fetch(control.to, igd.external_address(control)))))
        refused = _refused(host, LIFETIME_S, judge)
        if refused is not None:
            return refused
        for port in ports:
            yield from _add(site, control, host, port, is_needed=port == ports[0])
    except MalformedMessage as error:
        return Failure(str(error))
    return None


def release(site: Site, made: Iterable[Made], seed: bytes) -> Conversation:
    """Takes back what was made. What the router says to it does not matter; that it says something does."""
    for mapping in made:
        if mapping.protocol is Protocol.PCP:
            yield _pcp_question(site, mapping.port, seed, 0, is_deletion=True)
        elif mapping.protocol is Protocol.NAT_PMP:
            decode = partial(natpmp.decode_map, port=mapping.port, is_deletion=True)
            yield _question(site, natpmp.map_request(mapping.port, 0), decode)
        elif mapping.control is not None:
            yield Fetch(mapping.control.to, igd.delete_mapping(mapping.control, mapping.external.port))
    return None


CONVERSATIONS: dict[Protocol, Callable[[Site, tuple[int, ...], bytes, Judge], Conversation]] = {
    Protocol.PCP: by_pcp,
    Protocol.NAT_PMP: by_natpmp,
    Protocol.UPNP: by_upnp,
}


def _add(site: Site, control: Control, host: IPv4Address, port: int, *, is_needed: bool) -> Generator[Step, Any, None]:
    """Adds one mapping, at another external port where that is taken. Raises MalformedMessage if it `is_needed`."""
    lifetime_s, external_port = LIFETIME_S, port
    for _ in range(OTHER_PORTS + 2):
        has_any = control.service_type == igd.WITH_ANY_PORT and external_port != port
        request = (
            igd.add_any_mapping(control, site.own, port, lifetime_s)
            if has_any
            else igd.add_mapping(control, site.own, port, external_port, lifetime_s)
        )
        try:
            data = yield from _fetched(Fetch(control.to, request))
            if has_any:
                external_port = igd.decode_reserved_port(data)
            else:
                igd.decode_done(data)
        except MalformedMessage as error:
            code = error.code if isinstance(error, igd.OrderRefused) else 0
            if code == igd.ONLY_PERMANENT and lifetime_s:
                lifetime_s = 0  # such a device keeps it until it is taken back
            elif code == igd.CONFLICT and external_port < 65535:
                external_port += 1
            elif is_needed:
                raise
            else:
                return
        else:
            yield Made(Protocol.UPNP, port, Endpoint(host, external_port), LIFETIME_S, control)
            return
    if is_needed:
        raise igd.OrderRefused(igd.CONFLICT)


def _fetched(fetch: Fetch) -> Generator[Step, Any, bytes]:
    data: bytes | None = yield fetch
    if data is None:
        raise MalformedMessage("it does not answer over HTTP")
    return data


def _pcp_question(site: Site, port: int, seed: bytes, lifetime_s: int, *, is_deletion: bool = False) -> Question:
    key = nonce(seed, port)
    decode = partial(pcp.decode_map, nonce=key, port=port, is_deletion=is_deletion)
    return _question(site, pcp.map_request(site.own, key, port, lifetime_s), decode)


def _question(site: Site, datagram: bytes, decode: Callable[[bytes], object]) -> Question:
    to = Endpoint(site.gateway, pcp.PORT)
    return Question((Transmit(datagram, to),), decode, pcp.PORT)


def _natpmp_failure(answer: natpmp.Answer | None) -> Failure:
    if answer is None:
        return SILENT
    if answer.result == natpmp.SUCCESS:
        return Failure(f"it forwards a port for no more than {answer.lifetime_s} s")
    return Failure(f"it {natpmp.RESULTS.get(answer.result, f'refuses with code {answer.result}')}")


def _refused(host: IPAddress, lifetime_s: int, judge: Judge) -> Failure | None:
    problem = judge(host)
    if problem:
        return Failure(problem, is_final=True)
    if lifetime_s < LIFETIME_MIN_S:
        return Failure(f"it forwards a port for no more than {lifetime_s} s")
    return None
