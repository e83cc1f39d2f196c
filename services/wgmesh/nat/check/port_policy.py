"""How a NAT chooses the ports of new mappings (RFC 4787, section 4.2.1), judged from a few of them in their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from wgmesh.nat.check.findings import UNKNOWN

SAMPLES_MIN = 3  # of two ports, each distance could be chance
STEP_MAX = 64  # flows of others come between; two random ports lie so near to each other once in five hundred times


class Policy(StrEnum):
    """What the outside port has to do with the inside one, or with the port before."""

    UNKNOWN = UNKNOWN
    PRESERVING = "preserving"
    SEQUENTIAL = "sequential"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Sample:
    """One new mapping: the port inside and the port outside."""

    local_port: int
    external_port: int


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one server's samples come to; `step` is from one new port to the next, of sequential ports alone."""

    policy: Policy = Policy.UNKNOWN
    step: int | None = None


def judge(samples: Sequence[Sample]) -> Opinion:
    """Returns what mappings of different sockets, in the order in which they were made, prove about the next one.

    Most of the ports kept is preserving: a NAT that preserves gives another port where one is taken. Steps of one
    direction, none longer than STEP_MAX, are sequential; one of them may be an outlier, since ranges end and begin
    again. The shortest is the NAT's own. One port for two sockets is impossible, so a server that says so lies.
    """
    external = [sample.external_port for sample in samples]
    if len(samples) < SAMPLES_MIN or len(set(external)) < len(external):
        return Opinion()
    if 2 * sum(sample.local_port == sample.external_port for sample in samples) > len(samples):
        return Opinion(Policy.PRESERVING)
    steps = [after - before for before, after in pairwise(external)]
    near = [step for step in steps if abs(step) <= STEP_MAX]
    if len(near) >= max(2, len(steps) - 1) and len({step > 0 for step in near}) == 1:
        return Opinion(Policy.SEQUENTIAL, min(near, key=abs))
    return Opinion(Policy.RANDOM)


def agreed(opinions: Sequence[Opinion]) -> Opinion:
    """Returns what more than half of the servers, and two at least, say; the step by more than half of these."""
    definite = [opinion for opinion in opinions if opinion.policy is not Policy.UNKNOWN]
    for policy in Policy:
        steps = [opinion.step for opinion in definite if opinion.policy is policy]
        if len(steps) >= 2 and 2 * len(steps) > len(definite):
            step, count = Counter(steps).most_common(1)[0]
            return Opinion(policy, step if 2 * count > len(steps) else None)
    return Opinion()
