"""The gRPC server of every service on a real unix socket."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from wgmesh.client.errors import error_from_rpc
from wgmesh.core.errors import AlreadyRunning, InvalidSetting, PeerNotFound
from wgmesh.runtime import logs
from wgmesh.runtime.rpc_server import MAX_SOCKET_PATH_BYTES, serve_unix
from wgmesh.v1 import nat_service_pb2, nat_service_pb2_grpc, runtime_service_pb2, runtime_service_pb2_grpc

NAT = "wgmesh.v1.NatService"


@pytest.fixture
def path() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="wgm"))
    yield directory / "nat.sock"
    shutil.rmtree(directory)


class FailingNat(nat_service_pb2_grpc.NatServiceServicer):
    """Each method fails in its own way."""

    async def GetNatReport(self, request: Any, context: Any) -> Any:
        raise PeerNotFound("No peer fits.")

    async def WatchPaths(self, request: Any, context: Any) -> AsyncIterator[nat_service_pb2.WatchPathsResponse]:
        yield nat_service_pb2.WatchPathsResponse()
        raise PeerNotFound("The peer has gone.")


class BuggyNat(nat_service_pb2_grpc.NatServiceServicer):
    """A method with a bug."""

    async def GetNatReport(self, request: Any, context: Any) -> Any:
        raise KeyError("a secret detail")

    def WatchPaths(self, request: Any, context: Any) -> Any:
        raise NotImplementedError


class EndlessNat(nat_service_pb2_grpc.NatServiceServicer):
    """A watch that goes on for ever."""

    async def GetNatReport(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def WatchPaths(self, request: Any, context: Any) -> AsyncIterator[nat_service_pb2.WatchPathsResponse]:
        yield nat_service_pb2.WatchPathsResponse()
        await asyncio.Event().wait()


async def test_a_typed_error_of_a_call_reaches_the_caller_as_the_same_type(path: Path) -> None:
    async with serving(path, FailingNat()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await nat_service_pb2_grpc.NatServiceStub(channel).GetNatReport(nat_service_pb2.GetNatReportRequest())

    error = error_from_rpc(failure.value)
    assert type(error) is PeerNotFound
    assert str(error) == "No peer fits."
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_typed_error_in_the_middle_of_a_stream_reaches_the_caller_after_what_came_before(path: Path) -> None:
    async with serving(path, FailingNat()) as channel:
        watch = nat_service_pb2_grpc.NatServiceStub(channel).WatchPaths(nat_service_pb2.WatchPathsRequest())
        received = [await watch.read()]
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await watch.read()

    assert received == [nat_service_pb2.WatchPathsResponse()]
    assert type(error_from_rpc(failure.value)) is PeerNotFound


async def test_a_bug_gives_the_caller_an_id_and_only_the_log_the_traceback(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("nat", "wg0", "info", "json")
    async with serving(path, BuggyNat()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await nat_service_pb2_grpc.NatServiceStub(channel).GetNatReport(nat_service_pb2.GetNatReportRequest())

    details = failure.value.details() or ""
    error_id = details.rstrip(".").split()[-1]
    assert failure.value.code() is grpc.StatusCode.INTERNAL
    assert "secret detail" not in details
    log = capfd.readouterr().err
    assert error_id in log
    assert "KeyError" in log


async def test_a_server_stops_promptly_although_a_watch_is_open(path: Path) -> None:
    loop = asyncio.get_running_loop()
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        async with serve_unix(path, adding(EndlessNat()), [NAT]):
            watch = nat_service_pb2_grpc.NatServiceStub(channel).WatchPaths(nat_service_pb2.WatchPathsRequest())
            await watch.read()
            asked_at = loop.time()
        assert loop.time() - asked_at < 0.5


async def test_health_and_reflection_know_every_service(path: Path) -> None:
    async with serving(path, FailingNat()) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service=NAT))
        query = reflection_pb2.ServerReflectionRequest(list_services="")
        stream = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([query]))
        listed = await stream.read()

    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    names = {service.name for service in listed.list_services_response.service}
    assert {NAT, "wgmesh.v1.RuntimeService", "grpc.health.v1.Health"} <= names


async def test_the_log_level_can_be_changed_and_a_wrong_one_is_refused(path: Path) -> None:
    logs.configure("nat", "wg0", "info", "text")
    async with serving(path, FailingNat()) as channel:
        stub = runtime_service_pb2_grpc.RuntimeServiceStub(channel)
        answer = await stub.SetLogLevel(runtime_service_pb2.SetLogLevelRequest(level="debug"))
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.SetLogLevel(runtime_service_pb2.SetLogLevelRequest(level="loud"))

    assert answer.previous_level == "info"
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_socket_is_for_user_and_group_only(path: Path) -> None:
    async with serving(path, FailingNat()):
        assert path.stat().st_mode & 0o777 == 0o660


async def test_a_second_server_on_a_living_socket_is_refused_and_the_first_stays_reachable(path: Path) -> None:
    async with serving(path, FailingNat()) as channel:
        with pytest.raises(AlreadyRunning, match=str(path)):
            async with serve_unix(path, adding(FailingNat()), [NAT]):
                pass

        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING


async def test_a_socket_that_a_killed_server_left_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    async with serving(path, FailingNat()) as channel:
        assert await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())


async def test_a_regular_file_in_the_way_is_refused_and_kept(path: Path) -> None:
    path.write_text("precious")

    with pytest.raises(InvalidSetting, match="is not a socket"):
        async with serve_unix(path, adding(FailingNat()), [NAT]):
            pass

    assert path.read_text() == "precious"
    assert os.listdir(path.parent) == [path.name]


async def test_a_path_that_no_socket_can_have_is_refused_by_its_length(path: Path) -> None:
    too_long = path.with_name("x" * (MAX_SOCKET_PATH_BYTES - len(str(path.parent))))

    with pytest.raises(InvalidSetting, match="108 bytes"):
        async with serve_unix(too_long, adding(FailingNat()), [NAT]):
            pass


class serving:
    """A server of one servicer and a channel to it."""

    def __init__(self, path: Path, servicer: nat_service_pb2_grpc.NatServiceServicer) -> None:
        self._server = serve_unix(path, adding(servicer), [NAT])
        self._channel = grpc.aio.insecure_channel(f"unix:{path}")

    async def __aenter__(self) -> grpc.aio.Channel:
        await self._server.__aenter__()
        return self._channel

    async def __aexit__(self, *exc_info: Any) -> None:
        await self._channel.close()
        await self._server.__aexit__(None, None, None)


def adding(servicer: nat_service_pb2_grpc.NatServiceServicer) -> Any:
    return lambda server: nat_service_pb2_grpc.add_NatServiceServicer_to_server(servicer, server)
