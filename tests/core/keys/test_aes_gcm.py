"""Two implementations of one cipher: each gives upstream's bytes, and each opens what the other has sealed."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import UnavailableError
from support.vectors import load_vectors
from wgmesh.core.keys.aes_gcm import (
    KEY_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    AesGcm,
    LibsodiumAesGcm,
    NotAuthentic,
    OpensslAesGcm,
    leanest,
)

keys = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)
nonces = st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)
texts = st.binary(max_size=2000)


def processor_has_aes() -> bool:
    try:
        LibsodiumAesGcm()
    except UnavailableError:
        return False
    return True


needs_aes = pytest.mark.skipif(not processor_has_aes(), reason="this processor has no AES instructions")
each = pytest.mark.parametrize("make", [pytest.param(LibsodiumAesGcm, marks=needs_aes), OpensslAesGcm])


@each
def test_each_gives_upstreams_datagrams_and_opens_them(make: type[AesGcm]) -> None:
    cipher = make()
    for case in load_vectors("envelopes")["seal"]:
        key, nonce = bytes.fromhex(case["gossip_key_hex"]), bytes.fromhex(case["nonce_hex"])
        sealed = b64decode(json.loads(bytes.fromhex(case["datagram_hex"]))["ciphertext"])

        assert cipher.seal(case["payload_json"].encode(), key, nonce) == sealed, case["name"]
        assert cipher.open(sealed, key, nonce) == case["payload_json"].encode(), case["name"]


@needs_aes
@given(texts, keys, nonces, texts)
def test_what_one_seals_the_other_seals_too_and_opens(
    plaintext: bytes, key: bytes, nonce: bytes, associated: bytes
) -> None:
    light, heavy = LibsodiumAesGcm(), OpensslAesGcm()
    sealed = light.seal(plaintext, key, nonce, associated)

    assert heavy.seal(plaintext, key, nonce, associated) == sealed
    assert heavy.open(sealed, key, nonce, associated) == light.open(sealed, key, nonce, associated) == plaintext


@each
@given(texts, keys, nonces, texts, st.data())
def test_each_refuses_what_was_changed_cut_or_sealed_for_something_else(
    make: type[AesGcm], plaintext: bytes, key: bytes, nonce: bytes, associated: bytes, data: st.DataObject
) -> None:
    cipher = make()
    sealed = cipher.seal(plaintext, key, nonce, associated)
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    changed = bytearray(sealed)
    changed[bit // 8] ^= 1 << bit % 8
    cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]

    for ciphertext in (bytes(changed), cut):
        with pytest.raises(NotAuthentic):
            cipher.open(ciphertext, key, nonce, associated)
    with pytest.raises(NotAuthentic):
        cipher.open(sealed, key, nonce, associated + b"x")


@each
@pytest.mark.parametrize("size", range(TAG_BYTES + 1))
def test_each_refuses_what_is_shorter_than_a_tag(make: type[AesGcm], size: int) -> None:
    with pytest.raises(NotAuthentic):
        make().open(bytes(size), bytes(KEY_BYTES), bytes(NONCE_BYTES))


def test_a_processor_without_aes_gets_the_library_that_needs_none() -> None:
    def light() -> AesGcm:
        raise UnavailableError

    assert isinstance(leanest(light), OpensslAesGcm)


@needs_aes
def test_a_node_whose_processor_has_aes_never_loads_cryptography() -> None:
    script = (
        "import pkgutil, sys, wgmesh\n"
        "from importlib import import_module\n"
        "for found in pkgutil.walk_packages(wgmesh.__path__, 'wgmesh.'):\n"
        "    if found.name.split('.')[1] not in ('sim', 'demo', 'cli'):\n"
        "        import_module(found.name)\n"
        "from wgmesh.core.keys.aes_gcm import AES_GCM\n"
        "print(AES_GCM.open(AES_GCM.seal(b'sealed', bytes(32), bytes(12)), bytes(32), bytes(12)))\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('wgmesh', 'cryptography')])"
    )

    outcome = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    opened, loaded = outcome.stdout.splitlines()

    assert opened == "b'sealed'"
    assert "'wgmesh.supervisor.assembly'" in loaded
    assert "cryptography" not in loaded
