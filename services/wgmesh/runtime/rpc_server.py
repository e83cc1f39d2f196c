"""A gRPC server on a unix socket that nobody else can take away."""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from wgmesh.core.errors import AlreadyRunning, InvalidSetting, NotSupported, PermissionDenied
from wgmesh.runtime import logs, telemetry
from wgmesh.runtime.callers import LARGE_REQUEST_BYTES, Access
from wgmesh.runtime.rpc_bounds import RPCS_MAX, STREAMS_MAX, BoundsInterceptor
from wgmesh.runtime.rpc_errors import ErrorInterceptor
from wgmesh.v1 import runtime_service_pb2, runtime_service_pb2_grpc

MAX_SOCKET_PATH_BYTES = 107  # unix(7): sun_path has 108 bytes, the last one is the terminating zero
SOCKET_UMASK = 0o117  # the socket gets mode 0660: its group may call, nobody else
STOP_GRACE_S = 0.1  # watches never end by themselves; calls take milliseconds

CONNECTIONS_MAX = 4 * STREAMS_MAX  # with a watch on a quarter of them, the others come and go
# So that no program can keep others out, or use up the descriptors of this process, with connections that ask nothing
CONNECTION_OPTIONS = (
    ("grpc.max_allowed_incoming_connections", CONNECTIONS_MAX),
    ("grpc.max_connection_idle_ms", 2000),  # a client that goes on connects again by itself
)

CALL_TASKS = ("_schedule_rpc_coro", "_handle_exceptions")  # of gRPC, one each for a call
LAST_CALLS_TIMEOUT_S = 0.5  # they need some turns of the loop

RUNTIME_SERVICE = "wgmesh.v1.RuntimeService"


@asynccontextmanager
async def serve_unix(
    path: Path,
    register: Callable[[grpc.aio.Server], None],
    service_names: Sequence[str],
    *,
    access: Access | None = None,
    reflection: bool = False,
) -> AsyncIterator[None]:
    """Serves what `register` adds, with health and RuntimeService, on `path` while the context is open.

    `access` is what its callers may ask of that, None is all. `reflection` lets tools such as grpcurl ask what is
    served. Health is SERVING inside the context. Raises AlreadyRunning if a living server holds the path,
    InvalidSetting if the path cannot be a socket, PermissionDenied, NotSupported.
    """
    with _claimed(path):
        server = grpc.aio.server(
            interceptors=[*telemetry.server_interceptors(), ErrorInterceptor(), BoundsInterceptor(access)],
            maximum_concurrent_rpcs=RPCS_MAX,
            options=[
                ("grpc.max_receive_message_length", access.request_bytes_max if access else LARGE_REQUEST_BYTES),
                ("grpc.max_send_message_length", LARGE_REQUEST_BYTES),
                ("grpc.http2.bdp_probe", 0),  # as in the clients' channels: it only costs wake-ups on a unix socket
                *(CONNECTION_OPTIONS if access and access.many else ()),
            ],
        )
        register(server)
        runtime_service_pb2_grpc.add_RuntimeServiceServicer_to_server(RuntimeServicer(), server)
        names = (*service_names, RUNTIME_SERVICE, health.SERVICE_NAME)
        health_servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
        if reflection:
            _enable_reflection(names, server)
        _bind(server, path)
        await server.start()
        try:
            for name in ("", *names):
                await health_servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
            yield
        finally:
            await health_servicer.enter_graceful_shutdown()
            await server.stop(STOP_GRACE_S)


async def calls_ended() -> None:
    """Waits for the last calls of servers that have stopped.

    gRPC does not wait for one that its client gives up in that moment. It ends by itself in some turns of the loop; cut
    off by the end of the loop it would be told as a bug, and its traceback printed.
    """
    left = [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") in CALL_TASKS]
    if left:
        await asyncio.wait(left, timeout=LAST_CALLS_TIMEOUT_S)


def _enable_reflection(service_names: Sequence[str], server: grpc.aio.Server) -> None:
    from grpc_reflection.v1alpha import reflection  # with the descriptors of protobuf itself: 1 MB of every process

    reflection.enable_server_reflection((*service_names, reflection.SERVICE_NAME), server)


class RuntimeServicer(runtime_service_pb2_grpc.RuntimeServiceServicer):
    """The calls that every process answers."""

    async def SetLogLevel(
        self, request: runtime_service_pb2.SetLogLevelRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> runtime_service_pb2.SetLogLevelResponse:
        return runtime_service_pb2.SetLogLevelResponse(previous_level=logs.set_level(request.level))


@contextmanager
def _claimed(path: Path) -> Iterator[None]:
    """Holds an exclusive lock beside the socket.

    Binding alone claims nothing: gRPC replaces the socket of a living server without complaint, and removes the
    file when it stops. The lock file stays; removing it would let two processes lock two different files.
    """
    _check(path)
    lock_path = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the supervisor has made it for whom it is
        # 0600: who may open it may hold it
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except PermissionError:
        raise PermissionDenied(f"{lock_path} may not be written. Start as root or choose another directory.") from None
    except OSError as error:
        raise InvalidSetting("socket path", f"{lock_path} cannot be opened ({error.strerror})") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"Another process serves {path}. Stop it first, or use another socket path.") from None
        yield
    finally:
        os.close(lock)


def check_path_length(path: Path, setting: str = "socket path") -> None:
    """Raises InvalidSetting for a path that no socket can have."""
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH_BYTES:
        raise InvalidSetting(
            setting, f"{path} has {length} bytes, and a unix socket allows {MAX_SOCKET_PATH_BYTES}. Use a shorter one."
        )


def _check(path: Path) -> None:
    check_path_length(path)
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise InvalidSetting("socket path", f"{path.parent} is not a directory") from None
    except PermissionError:
        raise PermissionDenied(f"{path} may not be looked at. Start as root or choose another directory.") from None
    if not stat.S_ISSOCK(mode):
        raise InvalidSetting("socket path", f"{path} exists and is not a socket. Move it away or use another path.")


def _bind(server: grpc.aio.Server, path: Path) -> None:
    umask = os.umask(SOCKET_UMASK)
    try:
        path.unlink(missing_ok=True)  # a leftover of a killed process: the lock says that nobody serves it
        server.add_insecure_port(f"unix:{path}")
    except PermissionError:
        raise PermissionDenied(f"{path} belongs to another user. Remove it or choose another directory.") from None
    except RuntimeError as error:
        raise NotSupported(f"No server can listen on {path}: {error}.") from None
    finally:
        os.umask(umask)
