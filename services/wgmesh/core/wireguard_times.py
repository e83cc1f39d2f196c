"""WireGuard's own times, in seconds (WireGuard paper, section 6.1)."""

from __future__ import annotations

REKEY_AFTER_S = 120.0  # an initiator that sends renews the session from then on
REJECT_AFTER_S = 180.0  # no session outlives this: an older handshake carries nothing any more
