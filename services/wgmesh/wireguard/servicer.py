"""WireGuardService on gRPC: unpack, call, pack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc.aio
from wgmesh.convert.device import (
    apply_outcome_to_proto,
    desired_device_from_proto,
    device_snapshot_to_proto,
)
from wgmesh.convert.plan import device_plan_to_proto
from wgmesh.convert.scalar import public_key
from wgmesh.core.errors import InvalidInput
from wgmesh.core.keys.possession import agree
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import DesiredDevice
from wgmesh.v1 import device_pb2
from wgmesh.v1 import wireguard_service_pb2 as wireguard_pb2
from wgmesh.v1.wireguard_service_pb2_grpc import WireGuardServiceServicer
from wgmesh.wireguard.io.controller import DeviceController
from wgmesh.wireguard.limits import oversize

Context = grpc.aio.ServicerContext[object, object]

SERVICE_NAME = "wgmesh.v1.WireGuardService"
AGREEMENTS_MAX = 1000  # the peers that discovery holds at most


class WireGuardServicer(WireGuardServiceServicer):
    """Serves one device."""

    def __init__(self, controller: DeviceController, private_key: PrivateKey) -> None:
        self._controller = controller
        self._private_key = private_key

    async def ApplyDevice(
        self, request: wireguard_pb2.ApplyDeviceRequest, context: Context
    ) -> wireguard_pb2.ApplyDeviceResponse:
        desired = _desired(request.device)
        return apply_outcome_to_proto(await self._controller.apply(desired))

    async def PlanDevice(
        self, request: wireguard_pb2.PlanDeviceRequest, context: Context
    ) -> wireguard_pb2.PlanDeviceResponse:
        desired = _desired(request.device)
        return device_plan_to_proto(await self._controller.preview(desired))

    async def WatchDevice(
        self, request: wireguard_pb2.WatchDeviceRequest, context: Context
    ) -> AsyncIterator[wireguard_pb2.WatchDeviceResponse]:
        async for snapshot in self._controller.snapshots.watch():
            yield device_snapshot_to_proto(snapshot)

    async def AgreePairKeys(
        self, request: wireguard_pb2.AgreePairKeysRequest, context: Context
    ) -> wireguard_pb2.AgreePairKeysResponse:
        if len(request.public_keys) > AGREEMENTS_MAX:
            raise InvalidInput(
                f"{len(request.public_keys)} keys are too many for one call; ask for {AGREEMENTS_MAX} at a time"
            )
        # a thousand agreements take 50 ms, in which the device must not go unwatched
        agreements = await asyncio.to_thread(lambda: [self._agree(raw) for raw in request.public_keys])
        return wireguard_pb2.AgreePairKeysResponse(agreements=agreements)

    def _agree(self, raw: bytes) -> wireguard_pb2.PairKeyAgreement:
        """One bad key is answered with its reason, and the others are agreed upon all the same."""
        try:
            pair_key = agree(self._private_key, public_key(raw))
        except InvalidInput as error:
            return wireguard_pb2.PairKeyAgreement(public_key=raw, reason=str(error))
        return wireguard_pb2.PairKeyAgreement(public_key=raw, pair_key=pair_key.reveal())


def _desired(message: device_pb2.DesiredDevice) -> DesiredDevice:
    """The device that is wanted. Raises InvalidInput, before anything is parsed where there is too much of it."""
    networks = sum(len(peer.allowed_ips) + len(peer.routable_networks) for peer in message.peers)
    problem = oversize(len(message.peers), networks + len(message.addresses), len(message.reserved_ports))
    if problem:
        raise InvalidInput(problem)
    return desired_device_from_proto(message)
