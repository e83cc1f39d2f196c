"""The gRPC server of every service on a real unix socket."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from support.waiting import PATIENCE_S
from wgmesh.client.errors import error_from_rpc
from wgmesh.core.errors import AlreadyRunning, Busy, InvalidSetting, MeshError, NotReady, PeerNotFound
from wgmesh.runtime import logs
from wgmesh.runtime.callers import Access
from wgmesh.runtime.rpc_bounds import CALLS_MAX, STREAMS_MAX
from wgmesh.runtime.rpc_server import CONNECTIONS_MAX, MAX_SOCKET_PATH_BYTES, serve_unix
from wgmesh.runtime.service import Shell
from wgmesh.runtime.settings import RuntimeSettings
from wgmesh.v1 import discovery_service_pb2 as discovery_pb2
from wgmesh.v1 import discovery_service_pb2_grpc as discovery_grpc
from wgmesh.v1 import runtime_service_pb2, runtime_service_pb2_grpc

SERVICE = "wgmesh.v1.DiscoveryService"


@pytest.fixture
def path() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="wgm"))
    yield directory / "nat.sock"
    shutil.rmtree(directory)


class Failing(discovery_grpc.DiscoveryServiceServicer):
    """Each method fails in its own way."""

    async def ListBans(self, request: Any, context: Any) -> Any:
        raise PeerNotFound("No peer fits.")

    async def WatchPeers(self, request: Any, context: Any) -> AsyncIterator[discovery_pb2.WatchPeersResponse]:
        yield discovery_pb2.WatchPeersResponse()
        raise PeerNotFound("The peer has gone.")


class Buggy(discovery_grpc.DiscoveryServiceServicer):
    """A method with a bug."""

    async def ListBans(self, request: Any, context: Any) -> Any:
        raise KeyError("a secret detail")

    def WatchPeers(self, request: Any, context: Any) -> Any:
        raise NotImplementedError


class Endless(discovery_grpc.DiscoveryServiceServicer):
    """A watch that never ends."""

    async def ListBans(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    async def WatchPeers(self, request: Any, context: Any) -> AsyncIterator[discovery_pb2.WatchPeersResponse]:
        yield discovery_pb2.WatchPeersResponse()
        await asyncio.Event().wait()


class Hanging(discovery_grpc.DiscoveryServiceServicer):
    """A service that takes calls and never answers."""

    async def ListBans(self, request: Any, context: Any) -> Any:
        await asyncio.Event().wait()


class Waiting(discovery_grpc.DiscoveryServiceServicer):
    """A call that waits, one that answers, and a watch that never ends."""

    async def ProbeAddress(self, request: Any, context: Any) -> Any:
        await asyncio.Event().wait()

    async def ListBans(self, request: Any, context: Any) -> Any:
        return discovery_pb2.ListBansResponse()

    async def WatchPeers(self, request: Any, context: Any) -> AsyncIterator[discovery_pb2.WatchPeersResponse]:
        yield discovery_pb2.WatchPeersResponse()
        await asyncio.Event().wait()


waiting: Any = Waiting
hanging: Any = Hanging
failing: Any = Failing  # only what a test calls is there
buggy: Any = Buggy
endless: Any = Endless


async def test_a_typed_error_of_a_call_reaches_the_caller_as_the_same_type(path: Path) -> None:
    async with serving(path, failing()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await discovery_grpc.DiscoveryServiceStub(channel).ListBans(discovery_pb2.ListBansRequest())

    error = error_from_rpc(failure.value, "the server")
    assert type(error) is PeerNotFound
    assert str(error) == "No peer fits."
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_typed_error_in_the_middle_of_a_stream_reaches_the_caller_after_what_came_before(path: Path) -> None:
    async with serving(path, failing()) as channel:
        watch = discovery_grpc.DiscoveryServiceStub(channel).WatchPeers(discovery_pb2.WatchPeersRequest())
        received = [await watch.read()]
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await watch.read()

    assert received == [discovery_pb2.WatchPeersResponse()]
    assert type(error_from_rpc(failure.value, "the server")) is PeerNotFound


async def test_a_service_that_hangs_is_named_to_the_caller(path: Path) -> None:
    async with serving(path, hanging()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await discovery_grpc.DiscoveryServiceStub(channel).ListBans(discovery_pb2.ListBansRequest(), timeout=0.1)

    error = error_from_rpc(failure.value, "the discovery process")
    assert type(error) is NotReady
    assert str(error).startswith("the discovery process has not answered in time")


async def test_a_bug_gives_the_caller_an_id_and_only_the_log_the_traceback(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("nat", "wg0", "info", "json")
    async with serving(path, buggy()) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await discovery_grpc.DiscoveryServiceStub(channel).ListBans(discovery_pb2.ListBansRequest())

    details = failure.value.details() or ""
    error_id = details.rstrip(".").split()[-1]
    assert failure.value.code() is grpc.StatusCode.INTERNAL
    assert "secret detail" not in details
    log = capfd.readouterr().err
    assert error_id in log
    assert "KeyError" in log


async def test_a_server_stops_although_a_watch_is_open(path: Path) -> None:
    """Which would never end by itself."""
    async with (
        asyncio.timeout(PATIENCE_S),
        grpc.aio.insecure_channel(f"unix:{path}") as channel,
        serve_unix(path, adding(endless()), [SERVICE]),
    ):
        watch = discovery_grpc.DiscoveryServiceStub(channel).WatchPeers(discovery_pb2.WatchPeersRequest())
        await watch.read()


@pytest.mark.attack("another user of the machine", "lock the command line out with watches")
async def test_however_many_watches_are_open_a_call_gets_through_and_one_watch_too_many_is_told_why(path: Path) -> None:
    async with serving(path, waiting()) as channel:
        stub = discovery_grpc.DiscoveryServiceStub(channel)
        watches = [stub.WatchPeers(discovery_pb2.WatchPeersRequest()) for _ in range(STREAMS_MAX)]
        for watch in watches:
            await watch.read()

        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.WatchPeers(discovery_pb2.WatchPeersRequest()).read()
        assert await stub.ListBans(discovery_pb2.ListBansRequest(), timeout=PATIENCE_S) is not None

        watches[0].cancel()
        async with asyncio.timeout(PATIENCE_S):
            while await opened(stub) is grpc.StatusCode.RESOURCE_EXHAUSTED:
                await asyncio.sleep(0)

    error = error_from_rpc(failure.value, "the server")
    assert type(error) is Busy
    assert str(error).startswith(f"{STREAMS_MAX} watches are open on this socket already")


async def opened(stub: Any) -> grpc.StatusCode:
    """Whether there is room for another watch."""
    watch = stub.WatchPeers(discovery_pb2.WatchPeersRequest())
    try:
        await watch.read()
    except grpc.aio.AioRpcError as failure:
        return failure.code()
    watch.cancel()
    return grpc.StatusCode.OK


async def test_calls_of_one_kind_that_wait_leave_room_for_those_of_another(path: Path) -> None:
    async with serving(path, waiting()) as channel:
        stub = discovery_grpc.DiscoveryServiceStub(channel)
        calls = [asyncio.ensure_future(probed(stub)) for _ in range(2 * CALLS_MAX)]
        refusals = asyncio.as_completed(calls)
        for _ in range(CALLS_MAX):
            assert type(await next(refusals)) is Busy

        assert await stub.ListBans(discovery_pb2.ListBansRequest(), timeout=PATIENCE_S) is not None
        assert sum(call.done() for call in calls) == CALLS_MAX
        for call in calls:
            call.cancel()


async def probed(stub: Any) -> MeshError | None:
    try:
        await stub.ProbeAddress(discovery_pb2.ProbeAddressRequest())
    except grpc.aio.AioRpcError as failure:
        return error_from_rpc(failure, "the server")
    return None


@pytest.mark.attack("another user of the machine", "lock the command line out with silent connections")
async def test_connections_that_ask_nothing_keep_nobody_out_and_use_up_no_descriptors(path: Path) -> None:
    access = Access(frozenset({SERVICE}), many=True)
    before = len(os.listdir("/proc/self/fd"))
    with ExitStack() as held:
        async with serve_unix(path, adding(waiting()), [SERVICE], access=access):
            silent = [held.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(2 * CONNECTIONS_MAX)]
            for each in silent:
                each.setblocking(False)
                await asyncio.get_running_loop().sock_connect(each, os.fspath(path))

            async with asyncio.timeout(PATIENCE_S):
                while not await answers(path):
                    pass
            assert len(os.listdir("/proc/self/fd")) - before - len(silent) < 2 * CONNECTIONS_MAX


async def test_a_connection_that_has_asked_and_asks_no_more_makes_room(path: Path) -> None:
    async with serving(path, waiting(), Access(frozenset({SERVICE}), many=True)) as channel:
        stub = discovery_grpc.DiscoveryServiceStub(channel)
        await stub.ListBans(discovery_pb2.ListBansRequest())
        async with asyncio.timeout(PATIENCE_S):
            await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)

        assert await stub.ListBans(discovery_pb2.ListBansRequest()) is not None


async def answers(path: Path) -> bool:
    """Asks on a new connection, as each command does."""
    async with grpc.aio.insecure_channel(f"unix:{path}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = discovery_grpc.DiscoveryServiceStub(channel)
        try:
            await stub.ListBans(discovery_pb2.ListBansRequest(), timeout=5.0)
        except grpc.aio.AioRpcError:
            return False
    return True


async def test_a_method_that_is_not_meant_for_a_caller_is_not_there(path: Path) -> None:
    async with serving(path, waiting(), Access(frozenset({f"{SERVICE}/ListBans"}))) as channel:
        stub = discovery_grpc.DiscoveryServiceStub(channel)
        assert await stub.ListBans(discovery_pb2.ListBansRequest()) is not None
        assert await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert await opened(stub) is grpc.StatusCode.UNIMPLEMENTED
        level = runtime_service_pb2.SetLogLevelRequest(level="error")
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await runtime_service_pb2_grpc.RuntimeServiceStub(channel).SetLogLevel(level)

    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("length", "code"), [(900, grpc.StatusCode.UNIMPLEMENTED), (2000, grpc.StatusCode.RESOURCE_EXHAUSTED)]
)
async def test_a_request_larger_than_its_caller_needs_is_refused_unread(
    path: Path, length: int, code: grpc.StatusCode
) -> None:
    async with serving(path, waiting(), Access(frozenset({SERVICE}), 1024)) as channel:
        stub = discovery_grpc.DiscoveryServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.BanPeer(discovery_pb2.BanPeerRequest(reason="x" * length))

    assert failure.value.code() is code


async def test_health_knows_every_service(path: Path) -> None:
    async with serving(path, failing()) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        answers = [
            await health.Check(health_pb2.HealthCheckRequest(service=name))
            for name in ("", SERVICE, "wgmesh.v1.RuntimeService", "grpc.health.v1.Health")
        ]

    assert {answer.status for answer in answers} == {health_pb2.HealthCheckResponse.SERVING}


@pytest.mark.parametrize("debug_rpc", [True, False])
async def test_a_service_says_by_reflection_what_it_serves_where_that_is_asked_for(path: Path, debug_rpc: bool) -> None:
    settings = RuntimeSettings("discovery", "wg0", path.parent, debug_rpc=debug_rpc)
    async with (
        Shell(settings, lambda: None).serve(adding(failing()), [SERVICE]),
        grpc.aio.insecure_channel(f"unix:{settings.served_path('node')}") as channel,
    ):
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        if not debug_rpc:
            # without a question, whose writing would meet the end of the call and be told as a fault of its own
            assert await ask().code() is grpc.StatusCode.UNIMPLEMENTED
            return
        stream = ask(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        listed = await stream.read()

    names = {service.name for service in listed.list_services_response.service}
    assert {SERVICE, "wgmesh.v1.RuntimeService", "grpc.health.v1.Health"} <= names


async def test_the_log_level_can_be_changed_and_a_wrong_one_is_refused(path: Path) -> None:
    logs.configure("nat", "wg0", "info", "text")
    async with serving(path, failing()) as channel:
        stub = runtime_service_pb2_grpc.RuntimeServiceStub(channel)
        answer = await stub.SetLogLevel(runtime_service_pb2.SetLogLevelRequest(level="debug"))
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await stub.SetLogLevel(runtime_service_pb2.SetLogLevelRequest(level="loud"))

    assert answer.previous_level == "info"
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_socket_is_for_user_and_group_only(path: Path) -> None:
    async with serving(path, failing()):
        assert path.stat().st_mode & 0o777 == 0o660


async def test_nobody_but_the_server_can_open_the_lock_beside_the_socket(path: Path) -> None:
    async with serving(path, failing()):
        assert path.with_name(f"{path.name}.lock").stat().st_mode & 0o777 == 0o600


async def test_a_second_server_on_a_living_socket_is_refused_and_the_first_stays_reachable(path: Path) -> None:
    async with serving(path, failing()) as channel:
        with pytest.raises(AlreadyRunning, match=str(path)):
            async with serve_unix(path, adding(failing()), [SERVICE]):
                pass

        health = health_pb2_grpc.HealthStub(channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING


async def test_a_socket_that_a_killed_server_left_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    async with serving(path, failing()) as channel:
        assert await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())


async def test_a_regular_file_in_the_way_is_refused_and_kept(path: Path) -> None:
    path.write_text("precious")

    with pytest.raises(InvalidSetting, match="is not a socket"):
        async with serve_unix(path, adding(failing()), [SERVICE]):
            pass

    assert path.read_text() == "precious"
    assert os.listdir(path.parent) == [path.name]


async def test_a_path_that_no_socket_can_have_is_refused_by_its_length(path: Path) -> None:
    too_long = path.with_name("x" * (MAX_SOCKET_PATH_BYTES - len(str(path.parent))))

    with pytest.raises(InvalidSetting, match="108 bytes"):
        async with serve_unix(too_long, adding(failing()), [SERVICE]):
            pass


class serving:
    """A server of one servicer and a channel to it."""

    def __init__(
        self, path: Path, servicer: discovery_grpc.DiscoveryServiceServicer, access: Access | None = None
    ) -> None:
        self._server = serve_unix(path, adding(servicer), [SERVICE], access=access)
        self._channel = grpc.aio.insecure_channel(f"unix:{path}")

    async def __aenter__(self) -> grpc.aio.Channel:
        await self._server.__aenter__()
        return self._channel

    async def __aexit__(self, *exc_info: Any) -> None:
        await self._channel.close()
        await self._server.__aexit__(None, None, None)


def adding(servicer: discovery_grpc.DiscoveryServiceServicer) -> Any:
    return lambda server: discovery_grpc.add_DiscoveryServiceServicer_to_server(servicer, server)
