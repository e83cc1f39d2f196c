"""Client of the wireguard service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc.aio
from wgmesh.client.channel import ServiceClient
from wgmesh.convert.device import (
    agreement_from_proto,
    apply_outcome_from_proto,
    desired_device_to_proto,
    device_snapshot_from_proto,
)
from wgmesh.convert.plan import device_plan_from_proto
from wgmesh.core.device_plan import DevicePlan
from wgmesh.core.keys.possession import Agreement
from wgmesh.core.model import ApplyOutcome, DesiredDevice, DeviceSnapshot, PublicKey
from wgmesh.v1 import wireguard_service_pb2 as wireguard_pb2
from wgmesh.v1.wireguard_service_pb2_grpc import WireGuardServiceStub

APPLY_TIMEOUT_S = 30.0  # a device with 1,000 peers and as many routes takes seconds on a slow machine


class WireGuardClient(ServiceClient):
    """Speaks to the wireguard service on its socket."""

    def __init__(self, socket_path: Path, interceptors: Sequence[grpc.aio.ClientInterceptor] = ()) -> None:
        super().__init__(socket_path, interceptors)
        self._stub = WireGuardServiceStub(self._channel)

    async def apply_device(self, device: DesiredDevice) -> ApplyOutcome:
        """Brings the device to the desired state. Raises DeviceUnavailable if it cannot be looked at."""
        request = wireguard_pb2.ApplyDeviceRequest(device=desired_device_to_proto(device))
        return apply_outcome_from_proto(await self._call(self._stub.ApplyDevice, request, APPLY_TIMEOUT_S))

    async def plan_device(self, device: DesiredDevice, timeout_s: float = APPLY_TIMEOUT_S) -> DevicePlan:
        """Says what `apply_device` would do, and why. Raises DeviceUnavailable if it cannot be looked at."""
        request = wireguard_pb2.PlanDeviceRequest(device=desired_device_to_proto(device))
        return device_plan_from_proto(await self._call(self._stub.PlanDevice, request, timeout_s))

    def watch_device(self) -> AsyncIterator[DeviceSnapshot]:
        """Yields the device now and after each change. It never ends."""
        return self._watch(self._stub.WatchDevice, wireguard_pb2.WatchDeviceRequest(), device_snapshot_from_proto)

    async def agree_pair_keys(self, keys: Sequence[PublicKey]) -> tuple[Agreement, ...]:
        """Agrees on a key with each of at most 1,000 peers, in their order; one that cannot be has its reason."""
        request = wireguard_pb2.AgreePairKeysRequest(public_keys=[key.raw for key in keys])
        response = await self._call(self._stub.AgreePairKeys, request)
        return tuple(agreement_from_proto(agreement) for agreement in response.agreements)
