"""WireGuardService on gRPC: unpack, call, pack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
from wgmesh.convert.device import (
    apply_outcome_to_proto,
    desired_device_from_proto,
    device_snapshot_to_proto,
    refused_route_to_proto,
)
from wgmesh.v1 import wireguard_service_pb2 as wireguard_pb2
from wgmesh.v1.wireguard_service_pb2_grpc import WireGuardServiceServicer
from wgmesh.wireguard.io.keeper import DeviceKeeper

Context = grpc.aio.ServicerContext[object, object]

SERVICE_NAME = "wgmesh.v1.WireGuardService"


class WireGuardServicer(WireGuardServiceServicer):
    """Serves one device."""

    def __init__(self, keeper: DeviceKeeper) -> None:
        self._keeper = keeper

    async def ApplyDevice(
        self, request: wireguard_pb2.ApplyDeviceRequest, context: Context
    ) -> wireguard_pb2.ApplyDeviceResponse:
        return apply_outcome_to_proto(await self._keeper.apply(desired_device_from_proto(request.device)))

    async def PlanDevice(
        self, request: wireguard_pb2.PlanDeviceRequest, context: Context
    ) -> wireguard_pb2.PlanDeviceResponse:
        outcome = await self._keeper.preview(desired_device_from_proto(request.device))
        refused = [refused_route_to_proto(route) for route in outcome.refused_routes]
        return wireguard_pb2.PlanDeviceResponse(actions=outcome.actions, refused_routes=refused)

    async def WatchDevice(
        self, request: wireguard_pb2.WatchDeviceRequest, context: Context
    ) -> AsyncIterator[wireguard_pb2.WatchDeviceResponse]:
        async for snapshot in self._keeper.snapshots.watch():
            yield device_snapshot_to_proto(snapshot)

    async def RemoveDevice(
        self, request: wireguard_pb2.RemoveDeviceRequest, context: Context
    ) -> wireguard_pb2.RemoveDeviceResponse:
        await self._keeper.remove()
        return wireguard_pb2.RemoveDeviceResponse()
