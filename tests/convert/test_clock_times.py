from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st
from wgmesh.convert.clock_times import by_the_clock
from wgmesh.convert.scalar import seconds, timestamp
from wgmesh.v1 import discovery_service_pb2 as discovery_pb2
from wgmesh.v1 import node_service_pb2 as node_pb2

START = 1_800_000_000.0


@given(st.floats(-4e8, 4e8))
def test_every_time_in_a_message_is_moved_and_nothing_else(ahead_s: float) -> None:
    layer = discovery_pb2.DiscoveryLayer(name="lan", hear_time=timestamp(START + 1))
    status = node_pb2.GetStatusResponse(hostname="a", start_time=timestamp(START), layers=[layer, layer])

    assert by_the_clock(status, ahead_s) is status

    assert seconds(status, "start_time") == pytest.approx(START + ahead_s, abs=1e-6)
    for each in status.layers:
        assert seconds(each, "hear_time") == pytest.approx(START + 1 + ahead_s, abs=1e-6)
        assert each.name == "lan"
    assert status.hostname == "a"


def test_a_span_and_a_time_that_is_not_known_stay_as_they_are() -> None:
    peer = node_pb2.PeerStatus(round_trip_time=Duration(seconds=2), prove_time=Timestamp(seconds=5))
    by_the_clock(peer, 100.0)
    assert peer.round_trip_time.seconds == 2 and peer.prove_time.seconds == 105
    assert not peer.HasField("handshake_time")
