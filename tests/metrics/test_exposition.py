from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from support.otlp import counter, export, gauge, histogram
from wgmesh.metrics.exposition import render
from wgmesh.metrics.samples import SampleStore


def page(*exports: object) -> str:
    store = SampleStore()
    for request in exports:
        store.accept(request, now=0.0)  # type: ignore[arg-type]
    return render(store.series(0.0)).decode()


def test_a_gauge_has_help_type_and_value() -> None:
    text = page(export("node", gauge("wgmesh_active_peers", [({}, 3)], "Peers that answer.")))

    assert text == (
        "# HELP wgmesh_active_peers Peers that answer.\n# TYPE wgmesh_active_peers gauge\nwgmesh_active_peers 3.0\n"
    )


def test_a_counter_ends_in_total_exactly_once() -> None:
    text = page(export("node", counter("with_total", [({}, 1)]), counter("without", [({}, 2)])))

    assert "with_total 1.0\n" in text
    assert "without_total 2.0\n" in text
    assert "total_total" not in text


def test_histogram_buckets_are_cumulative_and_end_at_infinity() -> None:
    text = page(export("node", histogram("duration_seconds", [0.005, 1.0], [2, 3, 4], 12.5)))

    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == [
        'duration_seconds_bucket{le="0.005"} 2.0',
        'duration_seconds_bucket{le="1.0"} 5.0',
        'duration_seconds_bucket{le="+Inf"} 9.0',
        "duration_seconds_count 9.0",
        "duration_seconds_sum 12.5",
    ]


def test_quantile_gauges_and_their_counters_become_one_summary() -> None:
    peer = {"peer_key": "abc"}
    text = page(
        export(
            "nat",
            gauge("rtt", [({**peer, "quantile": "0.5"}, 0.01), ({**peer, "quantile": "0.99"}, 0.2)]),
            counter("rtt_sum", [(peer, 4.5)]),
            counter("rtt_count", [(peer, 9)]),
        )
    )

    [family] = text_string_to_metric_families(text)
    assert family.type == "summary"
    assert {(s.name, s.labels.get("quantile")): s.value for s in family.samples} == {
        ("rtt", "0.5"): 0.01,
        ("rtt", "0.99"): 0.2,
        ("rtt_sum", None): 4.5,
        ("rtt_count", None): 9.0,
    }


def test_a_summary_without_a_recent_quantile_stays_a_summary() -> None:
    text = page(export("nat", counter("rtt_sum", [({}, 4.5)]), counter("rtt_count", [({}, 9)])))

    [family] = text_string_to_metric_families(text)
    assert (family.name, family.type) == ("rtt", "summary")


def test_the_same_series_of_two_services_is_told_apart_by_a_label() -> None:
    text = page(export("node", gauge("queue", [({}, 1)])), export("nat", gauge("queue", [({}, 2)])))

    assert 'queue{service="node"} 1.0' in text
    assert 'queue{service="nat"} 2.0' in text


def test_a_name_has_one_type_even_if_two_services_disagree() -> None:
    text = page(export("node", gauge("thing", [({}, 1)])), export("nat", counter("thing", [({}, 2)])))

    assert text.count("# TYPE thing") == 1


@given(st.text(max_size=30), st.floats(allow_nan=False))
def test_any_label_value_and_number_survives_the_text(label: str, value: float) -> None:
    label = label.encode("utf-8", "replace").decode()

    [family] = text_string_to_metric_families(page(export("node", gauge("g", [({"host": label}, value)]))))

    assert [(s.labels["host"], s.value) for s in family.samples] == [(label, value)]
