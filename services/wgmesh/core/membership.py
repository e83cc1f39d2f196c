"""Membership tokens: proof, within an hour or so, of knowing the mesh secret (protocol notes, 4.2).

Whether the identity is a raw key or its text is up to those who exchange tokens; no deployed node sends any.
"""

from __future__ import annotations

import hmac

from wgmesh.core.keyschedule import hour_of

TOKEN_BYTES = 32


def membership_token(membership_key: bytes, identity: bytes, unix_time: float) -> bytes:
    """Returns the 32 byte token of an identity for the hour of `unix_time`."""
    return _token_of_hour(membership_key, identity, hour_of(unix_time))


def is_member(token: bytes, membership_key: bytes, identity: bytes, unix_time: float) -> bool:
    """Tells whether the token is of this hour or a neighbouring one."""
    hour = hour_of(unix_time)
    expected = [_token_of_hour(membership_key, identity, hour + shift) for shift in (-1, 0, 1)]
    return any([hmac.compare_digest(token, candidate) for candidate in expected])


def _token_of_hour(membership_key: bytes, identity: bytes, hour: int) -> bytes:
    return hmac.digest(membership_key, identity + b"|" + str(hour).encode(), "sha256")
