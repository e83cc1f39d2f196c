"""What the STUN prober reports."""

from __future__ import annotations

from dataclasses import dataclass

from wgmesh.core.model import Endpoint


@dataclass(frozen=True, slots=True)
class MappingLearned:
    """`server` saw our datagram come from `mapped`; `at` is on the clock that the prober was given."""

    server: Endpoint
    mapped: Endpoint
    at: float


@dataclass(frozen=True, slots=True)
class ServerSilent:
    """`server` answered none of the requests of one transaction."""

    server: Endpoint


@dataclass(frozen=True, slots=True)
class AnswerRefused:
    """`server` answered, but its answer cannot be used."""

    server: Endpoint
    reason: str


Event = MappingLearned | ServerSilent | AnswerRefused
