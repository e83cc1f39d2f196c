from __future__ import annotations

import ipaddress
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.command_line import GOOD_SECRET, Run
from wgmesh.cli import exits
from wgmesh.cli.probing import ProbeSession
from wgmesh.core.keys.keyschedule import derive
from wgmesh.core.keys.secret import Secret
from wgmesh.core.model import Endpoint, PublicKey
from wgmesh.core.wire.envelope import MessageType, open_envelope, seal
from wgmesh.core.wire.probe import ProbeReply, decode_probe, encode_probe_reply

KEY = derive(Secret.parse(GOOD_SECRET)).gossip_key
OTHER_KEY = bytes(32)
PEER = Endpoint.of("192.0.2.7", 51980)
UNIX = 1_700_000_000.0

Responder = Callable[[bytes, Endpoint], bytes | None]


def test_the_answer_to_any_of_the_questions_counts_with_its_own_round_trip() -> None:
    session = new_session()
    session.question(now=10.0, unix_time=UNIX)
    second = session.question(now=10.5, unix_time=UNIX)

    answer = session.answer(reply_to(second, UNIX), PEER, now=10.52, unix_time=UNIX)

    assert answer is not None
    assert answer.round_trip_s == pytest.approx(0.02)
    assert answer.reply.observed_endpoint == Endpoint.of("203.0.113.5", 4000)
    assert answer.source == PEER


def test_an_answer_to_somebody_elses_question_does_not_count() -> None:
    session, other = new_session(), ProbeSession(KEY, lambda count: b"\x77" * count)
    session.question(10.0, UNIX)

    assert session.answer(reply_to(other.question(10.0, UNIX), UNIX), PEER, 10.1, UNIX) is None


def test_causes_of_silence_are_told_apart() -> None:
    silent, foreign, skewed, refused = (new_session() for _ in range(4))
    question = skewed.question(10.0, UNIX)

    foreign.answer(reply_to(question, UNIX, sealed_with=OTHER_KEY), PEER, 10.1, UNIX)
    foreign.answer(b"\x00\x01 not even JSON", PEER, 10.1, UNIX)
    skewed.answer(reply_to(question, UNIX, sealed_at=UNIX + 4000), PEER, 10.1, UNIX)

    assert "no answer from x within 5 s" in str(silent.failure("x", 5.0, refused=False))
    assert "not with this secret" in str(foreign.failure("x", 5.0, refused=False))
    assert foreign.foreign_count == 2
    assert "timestamp: in the future" in str(skewed.failure("x", 5.0, refused=False))
    assert "nothing listens at x" in str(refused.failure("x", 5.0, refused=True))


def test_the_command_asks_alone_over_a_real_socket(wgmesh: Run, secret_file: Path) -> None:
    with answering(member) as port:
        outcome = wgmesh("test-peer", "--peer", f"127.0.0.1:{port}", "--secret-file", secret_file, "--json")

    assert outcome.code == exits.OK
    assert outcome.json["hostname"] == "alice"
    assert outcome.json["address"] == f"127.0.0.1:{port}"
    assert outcome.json["observed_endpoint"].startswith("127.0.0.1:")
    assert 0 < outcome.json["rtt_ms"] < 5000


def test_a_lost_question_is_asked_again(wgmesh: Run, secret_file: Path) -> None:
    turns = itertools.count()

    def lazy(datagram: bytes, source: Endpoint) -> bytes | None:
        return member(datagram, source) if next(turns) else None

    with answering(lazy) as port:
        outcome = wgmesh("test-peer", "--peer", f"127.0.0.1:{port}", "--secret-file", secret_file)

    assert outcome.code == exits.OK
    assert "RTT: " in outcome.out


def test_a_node_of_another_mesh_is_told_from_silence(wgmesh: Run, secret_file: Path) -> None:
    words = ("--secret-file", secret_file, "--timeout", "0.3")
    with answering(stranger) as port:
        foreign = wgmesh("test-peer", "--peer", f"127.0.0.1:{port}", *words)
    with answering(mute) as port:
        silent = wgmesh("test-peer", "--peer", f"127.0.0.1:{port}", *words, "--json")

    assert (foreign.code, silent.code) == (exits.FAILED, exits.FAILED)
    assert "not with this secret" in foreign.err
    assert "no answer from 127.0.0.1" in silent.err
    assert json.loads(silent.out)["error"]["exit_code"] == exits.FAILED


def test_a_closed_port_is_reported_as_one(wgmesh: Run, secret_file: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    outcome = wgmesh("test-peer", "--peer", f"127.0.0.1:{port}", "--secret-file", secret_file, "--timeout", "0.3")

    assert outcome.code == exits.FAILED
    assert f"nothing listens at 127.0.0.1:{port}" in outcome.err


def test_without_a_node_and_a_secret_the_way_out_is_named(wgmesh: Run) -> None:
    outcome = wgmesh("test-peer", "--peer", "127.0.0.1")

    assert outcome.code == exits.NOT_RUNNING
    assert "or give --secret-file to ask without it" in outcome.err


def test_without_a_node_the_secret_of_the_environment_is_enough(
    wgmesh: Run, secret_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WGMESH_SECRET_FILE", str(secret_file))

    with answering(member) as port:
        assert wgmesh("test-peer", "--peer", f"127.0.0.1:{port}").code == exits.OK


@pytest.mark.parametrize("peer", ["", "host:0", "host:99999", "1.2.3.4.5", "[::1"])
def test_an_address_that_is_none_is_a_usage_error(wgmesh: Run, peer: str) -> None:
    outcome = wgmesh("test-peer", "--peer", peer)

    assert outcome.code == exits.USAGE
    assert outcome.err.startswith("wgmesh: --peer: ")


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(GOOD_SECRET)
    path.chmod(0o600)
    return path


def new_session() -> ProbeSession:
    counter = itertools.count(1)
    return ProbeSession(KEY, lambda count: next(counter).to_bytes(count, "big"))


def reply_to(
    datagram: bytes,
    now: float,
    sealed_with: bytes = KEY,
    sealed_at: float | None = None,
    observed: Endpoint | None = None,
) -> bytes:
    """What a node of this mesh answers at `now`, unless another key or time is given."""
    reply = ProbeReply(
        token=decode_probe(open_envelope(datagram, KEY, now).payload).token,
        public_key=PublicKey(bytes(range(32))),
        hostname="alice",
        mesh_ipv4=ipaddress.IPv4Address("10.55.1.2"),
        observed_endpoint=observed or Endpoint.of("203.0.113.5", 4000),
    )
    payload = encode_probe_reply(reply, int(now if sealed_at is None else sealed_at))
    return seal(MessageType.PROBE_REPLY, payload, sealed_with, b"\x05" * 12)


def member(datagram: bytes, source: Endpoint) -> bytes | None:
    return reply_to(datagram, time.time(), observed=source)


def stranger(datagram: bytes, source: Endpoint) -> bytes | None:
    return reply_to(datagram, time.time(), sealed_with=OTHER_KEY)


def mute(datagram: bytes, source: Endpoint) -> bytes | None:
    return None


@contextmanager
def answering(respond: Responder) -> Iterator[int]:
    """A UDP server on loopback that answers each datagram with what `respond` returns; yields its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_serve, args=(server, respond))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
                stopper.sendto(b"stop", server.getsockname())
            thread.join()


def _serve(server: socket.socket, respond: Responder) -> None:
    while True:
        datagram, (host, port) = server.recvfrom(65535)
        if datagram == b"stop":
            return
        answer = respond(datagram, Endpoint.of(host, port))
        if answer is not None:
            server.sendto(answer, (host, port))
