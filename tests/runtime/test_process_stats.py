from __future__ import annotations

import asyncio
import os
import time

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from wgmesh.runtime import process_stats
from wgmesh.runtime.process_stats import PSS_PERIOD_S, SampledPss


def test_the_readings_are_those_of_this_process() -> None:
    resident, pss, files, started = (
        process_stats.resident_bytes(),
        process_stats.pss_bytes(),
        process_stats.open_files(),
        process_stats.start_time(),
    )

    assert resident is not None and resident > 5_000_000
    assert pss is not None and 1_000_000 < pss <= resident * 1.1
    assert started is not None and 0 <= time.time() - started < 3600
    assert files is not None
    reader, writer = os.pipe()
    assert process_stats.open_files() == files + 2
    os.close(reader)
    os.close(writer)


def test_pss_is_measured_again_only_when_the_last_value_is_old() -> None:
    now = [0.0]
    readings = iter([1.0, 2.0])
    pss = SampledPss(lambda: now[0], lambda: next(readings))

    assert pss() == 1.0
    now[0] = PSS_PERIOD_S - 0.1
    assert pss() == 1.0
    now[0] = PSS_PERIOD_S
    assert pss() == 2.0


async def test_every_process_metric_has_the_label_service() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    process_stats.register(provider.get_meter("t"), "node")
    process_stats.register_tasks(provider.get_meter("t"), "node", asyncio.get_running_loop())

    data = reader.get_metrics_data()

    assert data is not None
    found = {
        metric.name: [dict(point.attributes or {}) for point in metric.data.data_points]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert set(found) == {
        "process_cpu_seconds_total",
        "process_resident_memory_bytes",
        "process_pss_bytes",
        "process_open_fds",
        "process_start_time_seconds",
        "python_gc_collections_total",
        "python_gc_objects_collected_total",
        "go_memstats_heap_alloc_bytes",
        "go_goroutines",
    }
    assert all(labels["service"] == "node" for points in found.values() for labels in points)
    assert {labels["generation"] for labels in found["python_gc_collections_total"]} == {"0", "1", "2"}
