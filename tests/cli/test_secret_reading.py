"""The process that reads the secret, as the one that becomes the supervisor sees it."""

from __future__ import annotations

import os
import pty
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import GOOD_SECRET
from support.process_memory import found_in
from support.waiting import PATIENCE_S
from wgmesh.cli.credentials import SecretSources
from wgmesh.cli.secret_reading import read_apart
from wgmesh.core.errors import InvalidSecret, InvalidSetting, MeshError
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret

NOWHERE = Path("/nonexistent")
AT_A_TERMINAL = """
import os
from wgmesh.cli.credentials import SecretSources, read_secret_input
from wgmesh.cli.secret_reading import read_apart

read_apart(SecretSources({}, read_secret_input, flag="-"))
"""

READER = """
import sys
from wgmesh.cli import credentials, secret_reading

result = FUNCTION(credentials.SecretSources({}, input, file_flag=sys.argv[1]))
print("read", flush=True)
sys.stdin.read()
"""


INTERRUPTED = """
import os, signal, sys, threading
from pathlib import Path
from wgmesh.cli.credentials import SecretSources
from wgmesh.cli.secret_reading import read_apart

def is_pending(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("ShdPnd:"))
    return mask >> (signal.SIGINT - 1) & 1

def asked():
    asking = os.getppid()
    try:
        print("asks", flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        while os.getppid() == asking and not is_pending(asking):
            threading.Event().wait(0.005)
        print("has put away what it must", flush=True)
        raise

read_apart(SecretSources({}, asked, flag="-"))
"""


def sources(**given: object) -> SecretSources:
    return SecretSources(environ={}, read_input=lambda: "", system_file=NOWHERE, **given)  # type: ignore[arg-type]


def test_the_secret_comes_in_a_sealed_file_and_its_layout_and_warnings_beside_it() -> None:
    reading = read_apart(sources(flag="wgmesh://v9/a secret of words"))

    assert reading.secret.take() == Secret("a secret of words")
    assert reading.layout == derive(Secret("a secret of words")).layout
    assert len(reading.warnings) == 3


def test_the_version_of_its_uri_is_not_lost() -> None:
    assert not read_apart(sources(flag="wgmesh://v9/a secret of words")).secret.take().is_known_version
    assert read_apart(sources(flag=GOOD_SECRET)).secret.take().uri_version == "v1"
    assert read_apart(sources(flag="a secret of words")).secret.take().uri_version is None


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        ({"flag": "short"}, InvalidSecret, "the secret has 5 bytes"),
        ({"file_flag": "/nonexistent"}, InvalidSetting, "--secret-file: /nonexistent cannot be read"),
        ({"flag": "x", "file_flag": "y"}, InvalidSetting, "--secret: give either"),
        ({}, InvalidSetting, "--secret: no secret was given"),
    ],
)
def test_what_is_wrong_is_raised_here_as_it_was_there(given: dict[str, str], kind: type[MeshError], text: str) -> None:
    descriptors = os.listdir("/proc/self/fd")

    with pytest.raises(kind, match=f"^{text}") as raised:
        read_apart(sources(**given))

    assert getattr(raised.value, "setting", None) == (text.partition(":")[0] if kind is InvalidSetting else None)
    assert os.listdir("/proc/self/fd") == descriptors


def test_a_descriptor_that_was_named_as_the_file_is_closed() -> None:
    reading, writing = os.pipe()
    os.write(writing, GOOD_SECRET.encode())
    os.close(writing)

    read_apart(sources(file_flag=f"/dev/fd/{reading}"))

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)


def test_ctrl_c_at_the_question_ends_it_and_gives_the_terminal_its_echo_back() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", AT_A_TERMINAL])
    shown = b""
    while b"Secret: " not in shown:
        shown += os.read(terminal, 1024)

    os.write(terminal, b"\x03")
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) in (-signal.SIGINT, 1)
    echo = subprocess.run(
        ["stty", "-a"], stdin=terminal, capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert " echo " in echo.stdout


@pytest.mark.parametrize(
    ("function", "found"), [("secret_reading.read_apart", set()), ("credentials.find_secret", {"secret"})]
)
def test_the_process_that_goes_on_has_never_had_the_secret_in_its_memory(
    tmp_path: Path, function: str, found: set[str]
) -> None:
    """Python overwrites nothing that it frees, so the secret must not be read there at all."""
    secret = secrets.token_urlsafe(32)
    file = tmp_path / "secret"
    file.write_text(secret)
    process = subprocess.Popen(
        [sys.executable, "-c", READER.replace("FUNCTION", function), str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"read\n"

        assert found_in(process.pid, {"secret": secret.encode()}) == found

        process.stdin.close()


def test_ctrl_c_lets_the_reader_put_away_first_what_it_must() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"asks\n"

        os.killpg(process.pid, signal.SIGINT)

        assert process.stdout.read() == b"has put away what it must\n"
    assert process.returncode == -signal.SIGINT
