"""Userspace WireGuard: starting the program and speaking to its control socket."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from wgmesh.core.errors import DeviceUnavailable, InterfaceTaken, NotSupported
from wgmesh.core.keys.private_key import PrivateKey
from wgmesh.core.model import PublicKey
from wgmesh.wireguard import uapi
from wgmesh.wireguard.device import DeviceGone, PortBusy, TunnelState
from wgmesh.wireguard.plan import SetPeer

SOCKET_DIRECTORY = Path("/var/run/wireguard")  # fixed by the programs themselves
PROGRAM_VARIABLE = "WG_QUICK_USERSPACE_IMPLEMENTATION"  # the name that wg-quick(8) gave it
DEFAULT_PROGRAM = "wireguard-go"

START_TIMEOUT_S = 5.0  # measured: 10 ms; a loaded small machine may take a hundred times longer
START_POLL_S = 0.005
ANSWER_TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 64 * 1024 * 1024  # 1,000 peers take about 0.6 MB
WORDS_BYTES_MAX = 4096  # of a program that ended; its last line says why
LAST_WORDS_MAX = 300  # characters: one sentence of an error
_STAMP = re.compile(r"^(?:ERROR|DEBUG): (?:\(\S+\) )?(?:\d\S* \d\S* )?")  # ERROR: (wg0) 2026/11/28 06:38:34


class UserspaceTunnel:
    """The device behind one control socket. See Tunnel for what it raises."""

    def __init__(self, name: str, socket_path: Path) -> None:
        self.name = name
        self._path = socket_path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()
        self._is_known = False  # whether the program at the other end of the open connection is the one of before
        self._last: tuple[bytes, TunnelState] | None = None  # an idle device gives the same answer again and again

    async def read(self) -> TunnelState:
        answer = await self._exchange(uapi.GET_REQUEST)
        self._check(answer, "read the WireGuard device")
        self._is_known = True
        if self._last is not None and self._last[0] == answer:
            return self._last[1]
        state = uapi.parse_state(answer)
        public_key = state.private_key.public_key if state.private_key else None
        seen = TunnelState(public_key, state.listen_port, state.peers)
        self._last = answer, seen
        return seen

    async def set_private_key(self, private_key: PrivateKey) -> None:
        await self._set(uapi.private_key_request(private_key), "set the private key")

    async def set_listen_port(self, port: int) -> None:
        await self._set(uapi.listen_port_request(port), f"listen on UDP port {port}")

    async def set_peer(self, action: SetPeer) -> None:
        await self._set(uapi.set_peer_request(action), f"configure peer {action.public_key.short}")

    async def remove_peer(self, public_key: PublicKey) -> None:
        await self._set(uapi.remove_peer_request(public_key), f"remove peer {public_key.short}")

    async def is_alive(self) -> bool:
        """Whether a program answers on the socket. A stale socket file answers nothing.

        Raises InterfaceTaken where the socket is closed to this user: then another's program may serve it.
        """
        try:
            await self._exchange(uapi.GET_REQUEST)
        except DeviceUnavailable:
            return False
        return True

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
        self._is_known = False

    async def _set(self, request: bytes, doing: str) -> None:
        """Changes something, over a connection to the very program that was looked at and no other.

        One that ended may have left its name, and so its socket, to somebody else's.
        """
        if not self._is_open() or not self._is_known:
            before = self._last[1].public_key if self._last else None
            if (await self.read()).public_key != before:
                raise DeviceGone(f"Could not {doing}: another program serves {self._path} now.")
        self._check(await self._exchange(request, connect=False), doing)

    def _is_open(self) -> bool:
        return self._streams is not None and not self._streams[0].at_eof()

    def _check(self, answer: bytes, doing: str) -> None:
        number = uapi.parse_error_number(answer)
        if not number:
            return
        # After an error the program drops the rest of the transaction and its connection.
        self.close()
        if number == errno.EADDRINUSE:
            raise PortBusy(f"Could not {doing}: it is taken.")
        word = errno.errorcode.get(number, str(number))
        raise DeviceUnavailable(f"Could not {doing}: {self.name} said {word}.")

    async def _exchange(self, request: bytes, *, connect: bool = True) -> bytes:
        async with self._turn:
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    return await self._send_and_receive(request, connect)
            except asyncio.CancelledError:  # or the answer that is still to come would be taken for that of the next
                self.close()
                raise
            except PermissionError:
                raise InterfaceTaken(
                    f"The control socket {self._path} belongs to a WireGuard program of another user. It was not "
                    "touched: end that program, or choose another name with --interface."
                ) from None
            except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
                self.close()
                raise DeviceGone(
                    f"{self.name} does not answer on {self._path} ({type(error).__name__}). Is it still running?"
                ) from None

    async def _send_and_receive(self, request: bytes, connect: bool) -> bytes:
        if not self._is_open():
            self.close()
            if not connect:
                raise ConnectionResetError
            self._streams = await asyncio.open_unix_connection(self._path, limit=ANSWER_BYTES_MAX)
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        return await reader.readuntil(uapi.ANSWER_END)


def program_path() -> str:
    """Returns the program to start. Raises NotSupported with what to install."""
    name = os.environ.get(PROGRAM_VARIABLE) or DEFAULT_PROGRAM
    found = shutil.which(name)
    if found is None:
        raise NotSupported(
            f"This kernel has no WireGuard and the program {name} was not found. "
            f"Install the package {DEFAULT_PROGRAM}, or name another program in {PROGRAM_VARIABLE}."
        )
    return found


def program_name() -> str:
    """Returns what status shows for a userspace device."""
    return Path(os.environ.get(PROGRAM_VARIABLE) or DEFAULT_PROGRAM).name


def socket_path(interface: str) -> Path:
    return SOCKET_DIRECTORY / f"{interface}.sock"


@asynccontextmanager
async def open_userspace_tunnel(interface: str) -> AsyncIterator[UserspaceTunnel]:
    """Connects, when first used, to the program that serves `interface`."""
    tunnel = UserspaceTunnel(program_name(), socket_path(interface))
    try:
        yield tunnel
    finally:
        tunnel.close()


async def start_program(interface: str, tunnel: UserspaceTunnel) -> subprocess.Popen[bytes]:
    """Starts the program for `interface` and waits until it answers.

    Raises DeviceUnavailable with the program's own words, and NotSupported where it cannot be executed.

    It gets its own session and no pipe to us, so that it outlives this process, even a SIGKILL of our whole group: the
    tunnels keep carrying traffic and the next start takes the device over.
    """
    program = program_path()
    with _first_words() as words:
        process = _spawn(program, interface, words)
        with suppress(TimeoutError):
            async with asyncio.timeout(START_TIMEOUT_S):
                while process.poll() is None:
                    if await tunnel.is_alive():
                        return process
                    await asyncio.sleep(START_POLL_S)
        if process.poll() is None:
            process.kill()
            process.wait()
            problem = f"did not answer within {START_TIMEOUT_S:.0f} s"
        else:
            problem = f"ended at once with code {process.returncode}"
        said = last_words(os.pread(words, WORDS_BYTES_MAX, max(0, os.fstat(words).st_size - WORDS_BYTES_MAX)))
    saying = f'and said "{said}"' if said else "and said nothing"
    raise DeviceUnavailable(
        f"{program} {problem} {saying}. Check that /dev/net/tun can be opened and {SOCKET_DIRECTORY} be written by "
        "this user."
    )


def _spawn(program: str, interface: str, words: int) -> subprocess.Popen[bytes]:
    # WG_PROCESS_FOREGROUND=1: wireguard-go has no advice for people then. What goes wrong later shows in the device.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LOG_LEVEL": "error", "WG_PROCESS_FOREGROUND": "1"}
    try:
        return subprocess.Popen(
            [program, "-f", interface],
            stdin=subprocess.DEVNULL,
            stdout=words,  # where wireguard-go has its log
            stderr=words,
            start_new_session=True,
            close_fds=True,
            env=environment,
        )
    except OSError as error:
        raise NotSupported(
            f"{program} cannot be executed: {error.strerror}. Install the package {DEFAULT_PROGRAM} for this machine, "
            f"or name another program in {PROGRAM_VARIABLE}."
        ) from None


@contextmanager
def _first_words() -> Iterator[int]:
    """A file in memory for what a program says until the context is left. Later words go nowhere.

    No pipe: the program outlives this process, and dies of writing to a pipe that nobody reads. No file that grows.
    """
    descriptor = os.memfd_create("words", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        yield descriptor
    finally:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
        os.close(descriptor)


def last_words(output: bytes) -> str:
    """The last line that a program wrote, without its time stamp, fit for a sentence."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    words = _STAMP.sub("", lines[-1]) if lines else ""
    return "".join(filter(str.isprintable, words))[:LAST_WORDS_MAX].replace('"', "'").rstrip(". ")
