"""The control socket of a userspace program, played by a small server in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from support.devices import key, psk
from support.interpreters import STRANGER
from wgmesh.core.errors import DeviceUnavailable, InterfaceTaken, NotSupported
from wgmesh.wireguard.device import DeviceGone, PortBusy
from wgmesh.wireguard.io import userspace
from wgmesh.wireguard.io.userspace import UserspaceTunnel, last_words, program_path, start_program
from wgmesh.wireguard.plan import SetPeer


@asynccontextmanager
async def program(path: Path, answer: Callable[[bytes], bytes | None]) -> AsyncIterator[list[bytes]]:
    """Serves `path`; `answer` gives the reply to a request, None hangs up. Yields the requests."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\n\n")
                requests.append(request)
                reply = answer(request)
                if reply is None:
                    return
                writer.write(reply)
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()

    async with await asyncio.start_unix_server(serve, path):
        yield requests


async def test_one_connection_serves_many_requests(tmp_path: Path) -> None:
    async with program(tmp_path / "s", lambda request: b"listen_port=7\nerrno=0\n\n") as requests:
        tunnel = UserspaceTunnel("wireguard-go", tmp_path / "s")
        assert (await tunnel.read()).listen_port == 7
        await tunnel.set_peer(SetPeer(key(1), new=True))
        tunnel.close()
    assert len(requests) == 2


async def test_a_refused_peer_is_a_typed_error_without_its_keys_and_the_next_one_works(tmp_path: Path) -> None:
    bad = key(1).raw.hex().encode()
    async with program(tmp_path / "s", lambda request: b"errno=-22\n\n" if bad in request else b"errno=0\n\n"):
        tunnel = UserspaceTunnel("wireguard-go", tmp_path / "s")
        with pytest.raises(DeviceUnavailable, match="EINVAL") as caught:
            await tunnel.set_peer(SetPeer(key(1), new=True, preshared_key=psk(1)))
        assert not isinstance(caught.value, DeviceGone)
        assert psk(1).reveal().hex() not in str(caught.value)
        await tunnel.set_peer(SetPeer(key(2), new=True))
        tunnel.close()


async def test_a_taken_port_is_its_own_error(tmp_path: Path) -> None:
    async with program(tmp_path / "s", lambda request: b"errno=98\n\n"):
        tunnel = UserspaceTunnel("wireguard-go", tmp_path / "s")
        with pytest.raises(PortBusy):
            await tunnel.set_listen_port(51820)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("")])
async def test_no_answer_means_the_device_is_gone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "s")
    tunnel = UserspaceTunnel("wireguard-go", tmp_path / "s")
    assert not await tunnel.is_alive()
    with pytest.raises(DeviceGone, match="does not answer"):
        await tunnel.read()


async def test_a_program_that_hangs_up_is_connected_again(tmp_path: Path) -> None:
    replies = [b"errno=0\n\n", None, b"errno=0\n\n"]
    async with program(tmp_path / "s", lambda request: replies.pop(0)):
        tunnel = UserspaceTunnel("wireguard-go", tmp_path / "s")
        await tunnel.read()
        with pytest.raises(DeviceGone):
            await tunnel.read()
        await tunnel.read()
        tunnel.close()


async def test_the_answer_of_a_request_that_was_cancelled_is_not_taken_for_that_of_the_next(tmp_path: Path) -> None:
    """As at a stop: a device that is set up while the node ends would be read as one without a key, and left behind."""
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        owed = b""
        with suppress(asyncio.IncompleteReadError):
            while True:
                if (await reader.readuntil(b"\n\n")).startswith(b"set"):
                    owed += b"errno=0\n\n"  # it takes its time
                    asked.set()
                else:
                    writer.write(owed + b"listen_port=7\nerrno=0\n\n")
        writer.close()

    async with await asyncio.start_unix_server(serve, tmp_path / "s"):
        tunnel = UserspaceTunnel("wireguard-go", tmp_path / "s")
        setting = asyncio.ensure_future(tunnel.set_listen_port(7))
        await asked.wait()
        setting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await setting

        assert (await tunnel.read()).listen_port == 7
        tunnel.close()


def test_without_any_wireguard_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(userspace.PROGRAM_VARIABLE, "no-such-program")
    with pytest.raises(NotSupported, match=r"Install the package wireguard-go"):
        program_path()


async def test_what_was_meant_for_one_program_is_never_told_to_another_that_took_its_place(tmp_path: Path) -> None:
    def with_key(number: int) -> Callable[[bytes], bytes]:
        return lambda request: (
            f"private_key={number:064x}\nerrno=0\n\n".encode() if b"get" in request else b"errno=0\n\n"
        )

    tunnel = UserspaceTunnel("wireguard-go", tmp_path / "s")
    async with program(tmp_path / "s", with_key(1)):
        await tunnel.read()
        tunnel.close()
    (tmp_path / "s").unlink(missing_ok=True)
    async with program(tmp_path / "s", with_key(2)) as requests:
        with pytest.raises(DeviceGone, match="another program"):
            await tunnel.set_peer(SetPeer(key(1), new=True))
        tunnel.close()
    assert [request for request in requests if b"set" in request] == []


@pytest.mark.root
async def test_a_socket_that_is_closed_to_this_user_is_somebody_elses_and_not_a_leftover(tmp_path: Path) -> None:
    async def ask() -> None:
        tunnel = UserspaceTunnel("wireguard-go", tmp_path / "s")
        with pytest.raises(InterfaceTaken, match="another user"):
            await tunnel.is_alive()

    async with program(tmp_path / "s", lambda request: b"errno=0\n\n"):
        (tmp_path / "s").chmod(0)
        os.seteuid(STRANGER)
        try:
            await ask()
        finally:
            os.seteuid(0)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (
            b"ERROR: (wg0) 2026/11/28 06:38:34 Failed to create TUN device: no such file\n",
            "Failed to create TUN device: no such file",
        ),
        (b'first\npanic: it\'s "bad".\n\n', "panic: it's 'bad'"),
        (b"\x1b[31mred", "[31mred"),
        (b"", ""),
    ],
)
def test_of_what_a_program_said_the_last_line_is_told(output: bytes, words: str) -> None:
    assert last_words(output) == words


async def test_a_program_that_ends_at_once_is_told_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken-go"
    broken.write_text(
        "#!/bin/sh\necho 'ERROR: (wg0) 2026/11/28 06:38:34 Failed to create TUN device: no such file' >&2; exit 1\n"
    )
    broken.chmod(0o755)
    monkeypatch.setenv(userspace.PROGRAM_VARIABLE, str(broken))
    with pytest.raises(DeviceUnavailable, match='said "Failed to create TUN device: no such file"'):
        await start_program("wg0", UserspaceTunnel("broken-go", tmp_path / "s"))
    broken.write_bytes(b"\x7fELF of another machine")
    with pytest.raises(NotSupported, match="cannot be executed"):
        await start_program("wg0", UserspaceTunnel("broken-go", tmp_path / "s"))
