"""What `wgmesh netcheck` says: a verdict, a table of findings with their evidence, and advice. Pure.

The words for NATs are those of RFC 4787, as in nat_text.py. What servers say is shown as what they say.
"""

from __future__ import annotations

from collections.abc import Sequence

from wgmesh.cli.nat_text import UNKNOWN, with_upstream
from wgmesh.cli.table import Column, Table
from wgmesh.cli.units import NONE, age, clean, endpoint_text, optional_endpoint, rfc3339, seconds
from wgmesh.v1 import nat_service_pb2 as nat_pb2

SUBJECTS = ("udp", "mapping", "ports", "filtering", "hairpin", "ipv6")
EVIDENCE_LEAST = 20  # characters of what a server saw on a narrow terminal

_OPEN = "Other nodes can reach this one directly in most cases."
_NARROW = (
    "Nodes behind a NAT of the same kind can hardly reach this one directly, others often can; it is tried with all."
)
_MAPPINGS = {
    "none": "No NAT is in the way: the outside sees this host's own address and port. "
    "Other nodes can reach this one directly, unless a firewall is in the way.",
    "endpoint-independent": f"Your NAT keeps one port for all destinations: {{}} mapping. {_OPEN}",
    "address-dependent": f"Your NAT gives every destination another port: {{}} mapping. {_NARROW}",
    "address-and-port-dependent": f"Your NAT gives every destination and port another port: {{}} mapping. {_NARROW}",
}
_NO_ANSWER = {
    "silent": "No STUN server answered: UDP to the outside seems to be blocked.",
    "unroutable": "No STUN server could be asked: this machine has no route to any of them.",
    "unresolved": "No STUN server could be asked: none of their names leads to an address.",
    "refused": "No STUN server gave an answer that can be used.",
}
_RESULTS = {
    ("ports", "sequential"): "sequential, by {step}",
    ("ipv6", "no-address"): "no global address",
    ("ipv6", "not-asked"): "no server with IPv6",
}

_LET_UDP_OUT = "Let UDP out in the firewall of this host or network, or name servers that can be reached with --stun."
_MORE_SERVERS = "Name more STUN servers, each at another address: `wgmesh join --stun HOST:PORT` may be repeated."
_FORWARD = "Forward UDP port {port} of the router to this host: then nodes behind any NAT reach it."


class CheckText:
    """The findings of one check. One that an older or newer node does not tell counts as unknown."""

    def __init__(self, findings: Sequence[nat_pb2.NetworkFinding]) -> None:
        told = {finding.subject: finding for finding in findings}
        self._findings = {
            subject: told.get(subject, nat_pb2.NetworkFinding(subject=subject, value=UNKNOWN)) for subject in SUBJECTS
        }

    @property
    def is_answered(self) -> bool:
        """Whether any server answered."""
        return self._findings["udp"].value == "answered"

    def verdict(self) -> str:
        """One line."""
        udp, mapping = self._findings["udp"], self._findings["mapping"]
        if not self.is_answered:
            asked = ", ".join(endpoint_text(each.server) for each in udp.evidence if each.HasField("server"))
            return f"{_NO_ANSWER.get(udp.value, 'No STUN server answered.')}{f' Asked: {asked}.' if asked else ''}"
        if mapping.value not in _MAPPINGS:
            return f"UDP gets out; what kind of NAT is in the way is not certain{_because(mapping)}."
        text = _MAPPINGS[mapping.value].format(with_upstream(mapping.value))
        by_ipv6 = optional_endpoint(mapping, "external_endpoint").startswith("[")
        return f"Servers answer by IPv6 alone. {text}" if by_ipv6 else text

    def table(self, now: float) -> Table:
        """A row for each server that says something about a finding."""
        columns = (
            Column("FINDING", 9, rank=1),
            Column("RESULT", 12, rank=1),
            Column("SERVER", 15, rank=2),
            Column("EVIDENCE", rank=1, least=EVIDENCE_LEAST),
            Column("AGE", 3, rank=3),
        )
        rows: list[tuple[str, ...]] = []
        for subject, finding in self._findings.items():
            name, result = subject, self._result(finding)
            for server, evidence in _by_server(finding).items():
                newest_at = max(
                    (at for each in evidence if (at := seconds(each, "answer_time")) is not None), default=None
                )
                rows.append((name, result, server or NONE, _seen(evidence), age(newest_at, now)))
                name = result = ""
            if name:
                rows.append((name, result, NONE, NONE, NONE))
        return Table(columns, tuple(rows))

    def notes(self) -> list[str]:
        """What is not certain, and why."""
        return [f"{subject}: {clean(each.detail)}." for subject, each in self._findings.items() if each.detail]

    def advice(self) -> list[str]:
        """What an operator may do."""
        if not self.is_answered:
            return [_LET_UDP_OUT]
        mapping = self._findings["mapping"]
        if mapping.value == UNKNOWN:
            return [_MORE_SERVERS]
        port = next((each.local_port for each in mapping.evidence if each.local_port), 0)
        return [_FORWARD.format(port=port)] if mapping.value.startswith("address-") and port else []

    def value(self) -> dict[str, object]:
        """The JSON object."""
        return {
            "verdict": self.verdict(),
            "external_endpoint": optional_endpoint(self._findings["mapping"], "external_endpoint") or None,
            "findings": {subject: _finding_value(finding) for subject, finding in self._findings.items()},
            "advice": self.advice(),
        }

    def _result(self, finding: nat_pb2.NetworkFinding) -> str:
        if finding.subject == "ports" and not finding.port_step:
            return clean(finding.value)
        text = _RESULTS.get((finding.subject, finding.value), finding.value)
        return clean(text.format(step=finding.port_step))


def _because(finding: nat_pb2.NetworkFinding) -> str:
    return f": {clean(finding.detail)}" if finding.detail else ""


def _by_server(finding: nat_pb2.NetworkFinding) -> dict[str, list[nat_pb2.NetworkEvidence]]:
    found: dict[str, list[nat_pb2.NetworkEvidence]] = {}
    for each in finding.evidence:
        found.setdefault(optional_endpoint(each, "server"), []).append(each)
    return found


def _seen(evidence: Sequence[nat_pb2.NetworkEvidence]) -> str:
    """What one server saw: the outside address once, then ports alone."""
    texts, host = [], ""
    for each in evidence:
        if not each.HasField("seen_endpoint") or each.note:
            texts.append(clean(each.note) or "answered")
            continue
        endpoint = (
            f":{each.seen_endpoint.port}" if each.seen_endpoint.host == host else endpoint_text(each.seen_endpoint)
        )
        host = each.seen_endpoint.host
        texts.append(f"port {each.local_port} as {endpoint}" if each.local_port else f"saw {endpoint}")
    return ", ".join(texts)


def _finding_value(finding: nat_pb2.NetworkFinding) -> dict[str, object]:
    value: dict[str, object] = {
        "value": finding.value,
        "detail": finding.detail,
        "evidence": [
            {
                "server": optional_endpoint(each, "server") or None,
                "local_port": each.local_port or None,
                "seen": optional_endpoint(each, "seen_endpoint") or None,
                "note": each.note,
                "answered": rfc3339(seconds(each, "answer_time")),
            }
            for each in finding.evidence
        ],
    }
    if finding.subject == "ports":
        value["step"] = finding.port_step or None
    return value
