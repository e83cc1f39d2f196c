"""Concludes findings from answered and unanswered questions. Pure.

A server may lie, so what one server alone says decides nothing: the value stays unknown, and the detail says who says
what. The one exception proves itself: a datagram that came in from an address that nobody here has written to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from wgmesh.core.model import Endpoint, IPAddress
from wgmesh.core.model import Mapping as NatMapping
from wgmesh.nat.check.findings import UNKNOWN, Evidence, Finding, Subject
from wgmesh.nat.check.port_policy import Opinion, Policy, Sample, agreed, judge
from wgmesh.nat.check.questions import Question, SecondAddress
from wgmesh.nat.classify import Classification, Observation, classify

WITNESSES_MIN = 2  # one alone may lie

NONE = "none"
ENDPOINT_INDEPENDENT = "endpoint-independent"
ADDRESS_DEPENDENT = "address-dependent"
ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"
_MOST_PERMISSIVE_FIRST = (ENDPOINT_INDEPENDENT, ADDRESS_DEPENDENT, ADDRESS_AND_PORT_DEPENDENT)
_MAPPINGS = {
    NatMapping.UNKNOWN: UNKNOWN,
    NatMapping.NONE: NONE,
    NatMapping.ENDPOINT_INDEPENDENT: ENDPOINT_INDEPENDENT,
    NatMapping.ADDRESS_DEPENDENT: ADDRESS_DEPENDENT,
}

Ports = Mapping[str, int]
"""The local ports by channel."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What WireGuard's port looks like from outside. `host_count` is that of the servers that answered."""

    found: Classification
    host_count: int

    @property
    def is_untranslated(self) -> bool:
        return self.found.mapping is NatMapping.NONE


def one_a_host(questions: Iterable[Question]) -> list[Question]:
    """The first question of each host: servers at one address are one witness."""
    first: dict[IPAddress, Question] = {}
    for question in questions:
        first.setdefault(question.to.host, question)
    return list(first.values())


def udp(unresolved: Sequence[str], has_route: bool, reach: Sequence[Question]) -> Finding:
    """Whether any server answers at all."""
    evidence = [_evidence(question, {}) for question in reach]
    evidence += [Evidence(note=f"{name} has no address") for name in unresolved]
    if any(question.is_answered for question in reach):
        value, detail = "answered", ""
    elif not reach:
        value, detail = "unresolved", "no name of a server leads to an address"
    elif not has_route:
        value, detail = "unroutable", "this machine has no route to any server"
    elif any(question.answered_at is not None for question in reach):
        value, detail = "refused", "servers answered, and none of the answers can be used"
    elif not all(question.is_silent for question in reach):
        value, detail = UNKNOWN, "the check ended before the servers had time to answer"
    else:
        value, detail = "silent", "nothing came back from any server"
    return Finding(Subject.UDP, value, detail, tuple(evidence))


def ipv6(address: IPAddress | None, ports: Ports, reach: Sequence[Question]) -> Finding:
    """Whether this host has a global IPv6 address, and whether a server answers by IPv6."""
    asked = [question for question in reach if question.to.host.version == 6]
    has = f"this host has the global address {address}" if address is not None else "this host has no global address"
    evidence = (Evidence(note=has), *(_evidence(question, ports) for question in asked))
    detail = ""
    if any(question.is_answered for question in asked):
        value = "answered"
    elif address is None:
        value = "no-address"
    elif not asked:
        value, detail = "not-asked", "no server with an IPv6 address could be asked"
    elif all(question.is_silent for question in asked):
        value = "silent"
    else:
        value, detail = UNKNOWN, "no answer that can be used"
    return Finding(Subject.IPV6, value, detail, evidence)


def ports(local: Ports, fresh: Sequence[Sequence[Question]]) -> Finding:
    """How the NAT chooses outside ports; `fresh` has the questions of the throw-away sockets by server, in order."""
    opinions = {questions[0].to: judge(_samples(questions, local)) for questions in fresh}
    common = agreed(list(opinions.values()))
    evidence = tuple(_evidence(question, local) for questions in fresh for question in questions)
    said = {server: _policy_text(each) for server, each in opinions.items() if each.policy is not Policy.UNKNOWN}
    detail = "" if common.policy is not Policy.UNKNOWN else _undecided(said, "no server saw enough throw-away ports")
    return Finding(Subject.PORTS, common.policy.value, detail, evidence, port_step=common.step)


def behaviour(
    local_addresses: Collection[IPAddress], local: Ports, peers: Mapping[IPAddress, int], reach: Sequence[Question]
) -> Behaviour:
    """Classifies as the report in `status` does, from this moment's answers alone."""
    answered = [each for each in reach if each.is_answered]
    family = [each for each in answered if each.to.host.version == 4] or answered
    witnesses = one_a_host(family)
    observations = [
        Observation(each.to, each.seen, each.answered_at)
        for each in witnesses
        if each.seen is not None and each.answered_at is not None
    ]
    port = local.get(witnesses[0].channel, 0) if witnesses else 0
    return Behaviour(classify(local_addresses, port, observations, peers), len(observations))


def mapping(
    seen: Behaviour, local: Ports, is_wireguard_port: bool, reach: Sequence[Question], seconds: Sequence[SecondAddress]
) -> Finding:
    """Whether all destinations see one port; where they do not, whether the destination's port counts too."""
    value, detail = _MAPPINGS[seen.found.mapping], ""
    if value == ADDRESS_DEPENDENT:
        value, detail = _port_dependence(seen, reach, seconds)
    elif value == UNKNOWN and seen.host_count:
        detail = _why_unknown(seen)
    if not is_wireguard_port and seen.host_count:
        beside = "asked from a port beside WireGuard's, because raw sockets need CAP_NET_RAW"
        detail = f"{detail}; {beside}" if detail else beside
    asked = [*reach, *(second.other_port for second in seconds), *(second.other_host for second in seconds)]
    external = seen.found.external if is_wireguard_port else None
    evidence = tuple(_evidence(each, local) for each in asked)
    return Finding(Subject.MAPPING, value, detail, evidence, external=external)


def filtering(local: Ports, seconds: Sequence[SecondAddress]) -> Finding:
    """Whose datagrams come in: anybody's, those of an address written to, or of an address and port written to."""
    opinions = {second.server.to: _filtering_of(second) for second in seconds}
    evidence = tuple(
        Evidence(second.server.to, local.get(second.control.channel, 0), note=_filtering_note(second), at=_at(second))
        for second in seconds
    )
    said = {server: opinion for server, opinion in opinions.items() if opinion}
    if ENDPOINT_INDEPENDENT in said.values():
        return Finding(Subject.FILTERING, ENDPOINT_INDEPENDENT, "", evidence)
    if len({server.host for server in said}) >= WITNESSES_MIN:
        # a datagram that came in proves itself; that none came from elsewhere is what all of them say
        value = next(each for each in _MOST_PERMISSIVE_FIRST if each in said.values())
        return Finding(Subject.FILTERING, value, "", evidence)
    none = "no server can tell: none that answered has a second address that works (RFC 5780)"
    return Finding(Subject.FILTERING, UNKNOWN, _undecided(said, none), evidence)


def outside_of_fresh(fresh: Sequence[Sequence[Question]]) -> Endpoint | None:
    """Where the first throw-away socket is seen, if two servers at least, and more than half, name that address.

    Only there is a datagram sent unasked, so one server that names a victim's address aims nothing at it.
    """
    seen = [questions[0].seen for questions in fresh if questions and questions[0].is_answered]
    endpoints = [endpoint for endpoint in seen if endpoint is not None]
    for host, count in Counter(endpoint.host for endpoint in endpoints).most_common(1):
        if count >= WITNESSES_MIN and 2 * count > len(endpoints):
            return Counter(endpoint for endpoint in endpoints if endpoint.host == host).most_common(1)[0][0]
    return None


def hairpin(local: Ports, is_untranslated: bool, question: Question | None) -> Finding:
    """Whether a datagram to an own outside endpoint comes back inside."""
    if is_untranslated:
        return Finding(Subject.HAIRPIN, "not-needed", "there is no NAT")
    if question is None:
        return Finding(Subject.HAIRPIN, UNKNOWN, "no two servers agree on an outside address to send to")
    note = f"sent to {question.to}: it " + ("came back" if question.is_answered else "did not come back")
    evidence = (Evidence(None, local.get(question.channel, 0), question.to, note, question.answered_at),)
    if question.is_answered:
        return Finding(Subject.HAIRPIN, "works", "", evidence)
    if question.is_silent:
        return Finding(Subject.HAIRPIN, "blocked", "", evidence)
    return Finding(Subject.HAIRPIN, UNKNOWN, "the check ended before it was tried often enough")


def _samples(questions: Sequence[Question], local: Ports) -> list[Sample]:
    """Those whose order is certain: of a repeated request nobody knows which one made the mapping."""
    return [
        Sample(local.get(each.channel, 0), each.seen.port)
        for each in questions
        if each.is_answered and each.seen is not None and each.sent_count == 1
    ]


def _policy_text(opinion: Opinion) -> str:
    return opinion.policy.value if opinion.step is None else f"{opinion.policy.value} by {opinion.step}"


def _undecided(said: Mapping[Endpoint, str], nothing: str) -> str:
    """Why no value follows from what servers say."""
    if not said:
        return nothing
    texts = [f"{server} says {text}" for server, text in said.items()]
    if len(texts) == 1:
        return f"one server alone decides nothing: {texts[0]}"
    return f"servers disagree: {', '.join(texts)}"


def _why_unknown(seen: Behaviour) -> str:
    sightings = seen.found.sightings
    if len(sightings) > 1:
        texts = [f"{' and '.join(map(str, each.servers))} says {each.endpoint}" for each in sightings]
        return f"servers disagree: {', '.join(texts)}"
    return "one server alone decides nothing; name a second one with another address"


def _port_dependence(seen: Behaviour, reach: Sequence[Question], seconds: Sequence[SecondAddress]) -> tuple[str, str]:
    """Compares what two ports of one host see, for each host that has two."""
    pairs = {second.server.to.host: (second.server, second.other_port) for second in seconds}
    for question in reach:
        first = next((each for each in reach if each.to.host == question.to.host), question)
        if question is not first:
            pairs.setdefault(question.to.host, (first, question))
    differs = {
        first.to: first.seen != second.seen
        for first, second in pairs.values()
        if first.is_answered and second.is_answered
    }
    few = "two servers alone, of which one may be wrong" if seen.host_count == WITNESSES_MIN else ""
    if not differs:
        return ADDRESS_DEPENDENT, _joined(
            few, "whether the destination's port counts too, no server with two ports tells"
        )
    if len(differs) >= WITNESSES_MIN and len(set(differs.values())) == 1:
        return (ADDRESS_AND_PORT_DEPENDENT, "") if next(iter(differs.values())) else (ADDRESS_DEPENDENT, few)
    texts = {server: "the port counts too" if each else "the port does not count" for server, each in differs.items()}
    return ADDRESS_DEPENDENT, _joined(few, _undecided(texts, ""))


def _joined(*clauses: str) -> str:
    return "; ".join(clause for clause in clauses if clause)


def _filtering_of(second: SecondAddress) -> str:
    """What one server's answers from elsewhere say, empty for nothing: it may have no second address that works."""
    if second.moved.is_answered:
        return ENDPOINT_INDEPENDENT
    is_alive = second.control.is_answered and second.other_host.is_answered
    if not is_alive or not second.moved.is_silent:
        return ""
    if second.shifted.is_answered:
        return ADDRESS_DEPENDENT
    return ADDRESS_AND_PORT_DEPENDENT if second.shifted.is_silent and second.other_port.is_answered else ""


def _filtering_note(second: SecondAddress) -> str:
    shifted = Endpoint(second.server.to.host, second.other.port)
    texts = [
        f"from {where} {_came(question)}"
        for where, question in ((second.other, second.moved), (shifted, second.shifted))
    ]
    return ", ".join(texts)


def _came(question: Question) -> str:
    if question.is_answered:
        return "an answer came in"
    if question.trouble:
        return f"none came, {question.trouble}"
    return "none came in" if question.is_silent else "not asked often enough"


def _at(second: SecondAddress) -> float | None:
    return second.control.answered_at


def _evidence(question: Question, local: Ports) -> Evidence:
    note = question.trouble
    if question.answered_at is None:
        note = "does not answer" if question.is_silent else "was not asked often enough"
    return Evidence(question.to, local.get(question.channel, 0), question.seen, note, question.answered_at)
