"""Steps that the kernel refuses are tried again soon, and nobody is accused of having undone them."""

from __future__ import annotations

from wgmesh.core.errors import NotSupported, PermissionDenied
from wgmesh.wireguard.disputes import FIRST_PAUSE_S, LAST_PAUSE_S, LAST_RETRY_S, Disputes
from wgmesh.wireguard.plan import SetMtu

STEP = SetMtu(1420)
REFUSED = PermissionDenied("No CAP_NET_ADMIN.")


def test_what_was_refused_and_then_works_is_not_said_to_be_undone_by_anybody() -> None:
    disputes = Disputes()
    disputes.failed(STEP, REFUSED, 0.0)
    assert disputes.objection(STEP, FIRST_PAUSE_S / 2) is REFUSED
    assert disputes.objection(STEP, FIRST_PAUSE_S) is None
    assert disputes.done(STEP, FIRST_PAUSE_S) is None
    assert disputes.until(STEP) is None


def test_what_is_refused_for_hours_is_tried_again_every_few_seconds() -> None:
    disputes = Disputes()
    now = 0.0
    for _ in range(100):
        disputes.failed(STEP, REFUSED, now)
        due_at = disputes.until(STEP)
        assert due_at is not None and due_at - now <= LAST_RETRY_S
        now = due_at


def test_what_the_host_cannot_do_is_tried_once_a_minute() -> None:
    disputes = Disputes()
    for number in range(3):
        disputes.failed(STEP, NotSupported("IPv6 is switched off."), number * LAST_PAUSE_S)
        assert disputes.until(STEP) == (number + 1) * LAST_PAUSE_S
