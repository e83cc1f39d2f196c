"""Key agreement for nodes whose keys are only names: what two would agree on, and a service that says it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
from wgmesh.core.keys.possession import Agreement, PairKey, proof
from wgmesh.core.model import PublicKey
from wgmesh.core.wire.announcement import transcript_of, with_proof
from wgmesh.runtime.rpc_server import serve_unix
from wgmesh.v1 import wireguard_service_pb2 as wireguard_pb2
from wgmesh.v1.wireguard_service_pb2_grpc import WireGuardServiceServicer, add_WireGuardServiceServicer_to_server


def pair_key(one: PublicKey, other: PublicKey) -> PairKey:
    """The same for both, and another for every other pair."""
    return PairKey(hashlib.sha256(b"".join(sorted((one.raw, other.raw)))).digest())


def agreements(own: PublicKey, peers: Iterable[PublicKey]) -> list[Agreement]:
    return [Agreement(peer, pair_key(own, peer)) for peer in peers]


class PairingServicer(WireGuardServiceServicer):
    """Agrees in the name of one key. The other methods answer that they are not implemented."""

    def __init__(self, own: PublicKey) -> None:
        self._own = own

    async def AgreePairKeys(
        self, request: wireguard_pb2.AgreePairKeysRequest, context: object
    ) -> wireguard_pb2.AgreePairKeysResponse:
        return wireguard_pb2.AgreePairKeysResponse(
            agreements=[
                wireguard_pb2.PairKeyAgreement(public_key=raw, pair_key=pair_key(self._own, PublicKey(raw)).reveal())
                for raw in request.public_keys
            ]
        )


@asynccontextmanager
async def pairing_service(socket: Path, own: PublicKey) -> AsyncIterator[None]:
    """Serves it in the place of a wireguard service."""

    def register(server: grpc.aio.Server) -> None:
        add_WireGuardServiceServicer_to_server(PairingServicer(own), server)  # type: ignore[abstract]

    async with serve_unix(socket, register, ["wgmesh.v1.WireGuardService"]):
        yield


def prove_payload(kind: str, payload: dict[str, object], sender: PublicKey, recipient: PublicKey) -> dict[str, object]:
    """Puts the proof into a payload with our extension that shows `recipient` that `sender` has made it."""
    made = proof(pair_key(sender, recipient), kind, sender, recipient, transcript_of(payload))
    return with_proof(payload, made)
