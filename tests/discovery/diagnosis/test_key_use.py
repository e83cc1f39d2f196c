"""The bound on the use of the mesh's one AES-GCM key, and that it is told long before."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.discovery.discovery_wire import SECRET, START, Wire, describe, prove
from wgmesh.core.clock import WallClock
from wgmesh.core.model import Endpoint
from wgmesh.discovery.assembly import Randomness, assemble
from wgmesh.discovery.bounds import Bounds
from wgmesh.discovery.diagnosis.key_use import SEALS_MAX, SEALS_WARNED, KeyUse
from wgmesh.discovery.diagnosis.notices import REFRESH_S
from wgmesh.discovery.settings import DiscoverySettings


@pytest.mark.parametrize(("others", "own"), [(0, SEALS_WARNED), (999, SEALS_WARNED // 1000 + 1)])
def test_the_operator_is_told_at_a_quarter_of_what_all_members_together_may_seal(others: int, own: int) -> None:
    use = KeyUse()
    use.note(own - 1, others)
    assert use.sentence() == ""
    use.note(own, others)
    assert "1.1 billion" in use.sentence() and "new secret" in use.sentence()
    assert use.estimate < SEALS_MAX / 3


def test_each_message_is_counted_once_and_for_those_who_were_there_then() -> None:
    use = KeyUse()
    use.note(10, 1)
    use.note(10, 500)
    use.note(15, 3)
    assert use.estimate == 10 * 2 + 5 * 4


def test_every_datagram_that_a_node_seals_is_counted_repeats_of_the_same_bytes_are_not() -> None:
    wire = Wire()
    one, two = wire.add("192.0.2.1"), wire.add("192.0.2.2")
    prove(wire, one, two)
    wire.advance(600.0)
    sealed = {each.data for each in one.sent}
    assert len(sealed) > 100
    assert one.core.sealed_count == len(sealed)


def test_a_node_counts_its_messages_for_the_members_that_it_has_a_tunnel_to_and_for_no_mere_name() -> None:
    wire = Wire()
    one, two, _ = (wire.add(f"192.0.2.{number}") for number in (1, 2, 3))
    wire.advance(60.0)
    alone = one.core._diagnosis.key_use.estimate
    assert 0 < alone <= one.core.sealed_count
    prove(wire, one, two)
    before = one.core.sealed_count
    wire.advance(60.0)
    further = one.core.sealed_count - before
    assert 1.5 * further < one.core._diagnosis.key_use.estimate - alone <= 2 * further + 2


def test_the_notice_comes_with_the_message_that_reaches_the_bound() -> None:
    settings = DiscoverySettings(SECRET, "wg0", Path("/nonexistent"), "node-1")
    parts = assemble(settings, Randomness(bytes, lambda: 0.5), bytes(8), Bounds(), WallClock())
    parts.own.describe(describe(1), START)
    parts.announcer.sealed_count = SEALS_WARNED - 1
    parts.diagnosis.settle(START)
    assert not parts.diagnosis.notices
    parts.announcer.hello(Endpoint.parse("192.0.2.9:1"), START)
    parts.diagnosis.settle(START + REFRESH_S)
    (notice,) = parts.diagnosis.notices
    assert notice.code == "key-use" and "1.1 billion" in notice.text
