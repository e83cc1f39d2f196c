"""One process of a node: event loop, signals, logs, telemetry, exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import grpc.aio
from wgmesh.core.errors import (
    CorruptState,
    InterfaceTaken,
    InvalidInput,
    InvalidSetting,
    MeshError,
    NotSupported,
    PermissionDenied,
)
from wgmesh.core.version import VERSION
from wgmesh.runtime import heartbeat, logs, telemetry
from wgmesh.runtime.callers import CALLERS
from wgmesh.runtime.notify import ParentPipe
from wgmesh.runtime.rpc_server import calls_ended, serve_unix
from wgmesh.runtime.settings import RuntimeSettings

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_PERMISSION = 5  # the command line's code for "not permitted"
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h
EXIT_UNUSABLE = 78  # EX_CONFIG of sysexits.h: another start would end the same way

STOP_TIMEOUT_S = 5.0  # below the supervisor's 8 s, so that a stuck service still closes its server in order


class Shell:
    """What a service's main is given: its settings, a logger, and the two requests that the outside can make."""

    def __init__(self, settings: RuntimeSettings, on_ready: Callable[[], None], *, is_separated: bool = False) -> None:
        self.settings = settings
        self.log = logs.logger()
        self.stopping = asyncio.Event()
        self.reload = asyncio.Event()
        self.is_ready = False
        self.is_separated = is_separated  # whether this process has a user of its own
        self._on_ready = on_ready

    def ask_to_stop(self) -> int:
        """Asks for the end of the node, or of this process where it is alone. Returns the pid that ends last."""
        if isinstance(self._on_ready, ParentPipe):
            self._on_ready.ask_to_stop()
            return os.getppid()
        self.stopping.set()
        return os.getpid()

    def serve(
        self, register: Callable[[grpc.aio.Server], None], service_names: Sequence[str]
    ) -> AbstractAsyncContextManager[None]:
        """Serves each caller of this service on its socket while the context is open.

        Reports ready once health says SERVING on all of them. A caller may use what `callers` has for it of what
        `register` adds. `service_names` are the full names, as `wgmesh.v1.NatService`. Raises AlreadyRunning,
        InvalidSetting, PermissionDenied, NotSupported.
        """
        return self._serve(register, service_names)

    @asynccontextmanager
    async def _serve(
        self, register: Callable[[grpc.aio.Server], None], service_names: Sequence[str]
    ) -> AsyncIterator[None]:
        async with AsyncExitStack() as servers:
            for caller, access in CALLERS[self.settings.service].items():
                server = serve_unix(
                    self.settings.served_path(caller),
                    register,
                    service_names,
                    access=access,
                    reflection=self.settings.debug_rpc,
                )
                await servers.enter_async_context(server)
            self.is_ready = True
            self._on_ready()
            self.log.debug("service ready")
            yield


def _do_nothing() -> None:
    pass


def run_service(
    settings: RuntimeSettings,
    main: Callable[[Shell], Awaitable[None]],
    on_ready: Callable[[], None] = _do_nothing,
) -> int:
    """Runs `main` until it returns, and returns the exit code of the process.

    SIGTERM sets `shell.stopping`; a main that has not returned 5 s later, or at a second SIGTERM, is cancelled. SIGHUP
    sets `shell.reload`; SIGINT is ignored, since a terminal sends it to the supervisor as well. A MeshError ends the
    service with one log line, any other exception with a traceback.
    """
    try:
        logs.configure(settings.service, settings.interface, settings.log_level, settings.log_format)
    except InvalidSetting as error:
        return _give_up(str(error), EXIT_UNUSABLE, on_ready)
    telemetry.configure(settings, service_version=VERSION)
    shell = Shell(settings, on_ready, is_separated=isinstance(on_ready, ParentPipe) and on_ready.is_separated)
    try:
        asyncio.run(_supervise(shell, main, on_ready))
    except Exception as error:  # the one place where everything is caught: the process ends here
        return _report(shell, error, on_ready)
    return EXIT_OK


async def _supervise(shell: Shell, main: Callable[[Shell], Awaitable[None]], on_ready: Callable[[], None]) -> None:
    async def body() -> None:
        await main(shell)

    loop = asyncio.get_running_loop()
    if isinstance(on_ready, ParentPipe):
        heartbeat.start(loop, on_ready.beat)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    loop.add_signal_handler(signal.SIGHUP, shell.reload.set)
    async with telemetry.exporting(), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(body())

        def on_terminate() -> None:
            if shell.stopping.is_set():
                running.cancel()
            else:
                shell.stopping.set()
                loop.call_later(STOP_TIMEOUT_S, running.cancel)

        loop.add_signal_handler(signal.SIGTERM, on_terminate)
    await calls_ended()


def _report(shell: Shell, error: Exception, on_ready: Callable[[], None]) -> int:
    failures = [leaf for leaf in _leaves(error) if isinstance(leaf, MeshError)]
    bugs = [leaf for leaf in _leaves(error) if not isinstance(leaf, MeshError)]
    if bugs:
        shell.log.error("service failed by a bug", exc_info=error)
        return EXIT_BUG
    code = _exit_code(failures[0])
    if code != EXIT_FAILED and not shell.is_ready:
        return _give_up(str(failures[0]), code, on_ready)
    for failure in failures:
        shell.log.error("service failed", reason=str(failure), error=type(failure).__name__)
    return EXIT_FAILED


def _give_up(reason: str, code: int, on_ready: Callable[[], None]) -> int:
    # the reason is shown once: by the supervisor, or by this line where there is none
    if isinstance(on_ready, ParentPipe):
        on_ready.give_up(reason)
    else:
        print(f"wgmesh: {reason}", file=sys.stderr)
    return code


def _exit_code(failure: MeshError) -> int:
    match failure:
        case PermissionDenied():
            return EXIT_PERMISSION
        case InvalidInput() | CorruptState() | NotSupported() | InterfaceTaken():
            return EXIT_UNUSABLE
        case _:
            return EXIT_FAILED


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for child in error.exceptions for leaf in _leaves(child)]
    return [error]
