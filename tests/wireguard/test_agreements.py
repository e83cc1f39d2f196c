"""What the wireguard service answers without looking at its device: agreements on keys, and wishes beyond measure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import grpc.aio
import pytest
from wgmesh.client.wireguard import WireGuardClient
from wgmesh.core.errors import InvalidInput
from wgmesh.core.keys.possession import agree
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import PublicKey
from wgmesh.runtime.rpc_server import serve_unix
from wgmesh.v1 import device_pb2
from wgmesh.v1 import wireguard_service_pb2 as wireguard_pb2
from wgmesh.v1.wireguard_service_pb2_grpc import WireGuardServiceStub, add_WireGuardServiceServicer_to_server
from wgmesh.wireguard.io.controller import DeviceController
from wgmesh.wireguard.servicer import AGREEMENTS_MAX, SERVICE_NAME, WireGuardServicer

OWN, OTHER = (PrivateKey(bytes([number]) * 32) for number in (1, 2))


@asynccontextmanager
async def service(tmp_path: Path) -> AsyncIterator[Path]:
    """The service on a socket; no device is touched by an agreement, so there is none."""
    path = tmp_path / "wireguard.sock"
    servicer = WireGuardServicer(cast(DeviceController, None), OWN)

    def register(server: grpc.aio.Server) -> None:
        add_WireGuardServiceServicer_to_server(servicer, server)

    async with serve_unix(path, register, [SERVICE_NAME]):
        yield path


async def test_a_peer_agrees_on_the_same_key(tmp_path: Path) -> None:
    async with service(tmp_path) as path, WireGuardClient(path) as client:
        (agreement,) = await client.agree_pair_keys([OTHER.public_key])

    assert agreement.public_key == OTHER.public_key
    assert agreement.pair_key == agree(OTHER, OWN.public_key)
    assert agreement.reason == ""


async def test_a_bad_key_has_its_reason_and_the_others_their_keys(tmp_path: Path) -> None:
    low_order = PublicKey(bytes(32))
    async with service(tmp_path) as path, WireGuardClient(path) as client:
        agreements = await client.agree_pair_keys([low_order, OTHER.public_key, OWN.public_key])

    assert [agreement.pair_key is not None for agreement in agreements] == [False, True, True]
    assert "low order" in agreements[0].reason
    assert agreements[2].pair_key == agree(OWN, OWN.public_key)  # what a copy of this node would find


async def test_bytes_that_are_no_key_have_their_reason_too(tmp_path: Path) -> None:
    async with service(tmp_path) as path, grpc.aio.insecure_channel(f"unix:{path}") as channel:
        keys = [b"", bytes(33), OTHER.public_key.raw]
        answer = await WireGuardServiceStub(channel).AgreePairKeys(wireguard_pb2.AgreePairKeysRequest(public_keys=keys))

    assert [agreement.public_key for agreement in answer.agreements] == keys
    assert [len(agreement.pair_key) for agreement in answer.agreements] == [0, 0, 32]
    assert "32 bytes, not 33" in answer.agreements[1].reason


async def test_a_thousand_keys_are_one_call_and_more_are_refused(tmp_path: Path) -> None:
    keys = [PrivateKey(number.to_bytes(32, "big")).public_key for number in range(1, AGREEMENTS_MAX + 1)]
    async with service(tmp_path) as path, WireGuardClient(path) as client:
        agreements = await client.agree_pair_keys(keys)
        with pytest.raises(InvalidInput, match="1001 keys are too many"):
            await client.agree_pair_keys([*keys, OTHER.public_key])

    assert [agreement.public_key for agreement in agreements] == keys
    assert all(agreement.pair_key for agreement in agreements)


@pytest.mark.attack(
    "a program in a process of a node",
    "keep the wireguard process busy with hundreds of thousands of networks",
)
async def test_a_device_with_hundreds_of_thousands_of_networks_is_refused_before_any_of_them_is_read(
    tmp_path: Path,
) -> None:
    """None of them is a network, so code that begins to read them complains of the first."""
    greedy = device_pb2.DesiredPeer(public_key=bytes(32), preshared_key=bytes(32), routable_networks=["x"] * 600_000)
    device = device_pb2.DesiredDevice(peers=[greedy])
    async with service(tmp_path) as path, grpc.aio.insecure_channel(f"unix:{path}") as channel:
        stub = WireGuardServiceStub(channel)
        for call in (
            stub.PlanDevice(wireguard_pb2.PlanDeviceRequest(device=device)),
            stub.ApplyDevice(wireguard_pb2.ApplyDeviceRequest(device=device)),
        ):
            with pytest.raises(grpc.aio.AioRpcError, match="600000 networks") as raised:
                await call
            assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
