from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from wgmesh.runtime import telemetry
from wgmesh.runtime.settings import RuntimeSettings

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_traceparent_of_a_span_names_it_to_another_process() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")

    with tracer.start_as_current_span("sighting") as span:
        traceparent = telemetry.inject()
    there = trace.get_current_span(telemetry.context_from(traceparent)).get_span_context()

    assert there.trace_id == span.get_span_context().trace_id
    assert there.span_id == span.get_span_context().span_id
    assert there.is_remote


def test_without_a_span_there_is_no_traceparent() -> None:
    assert telemetry.inject() == ""


def test_a_malformed_traceparent_gives_a_context_without_a_span() -> None:
    for text in ("", "x", TRACEPARENT[:-1], "ff-" + TRACEPARENT[3:], "00-" + "0" * 32 + "-b7ad6b7169203331-01"):
        assert not trace.get_current_span(telemetry.context_from(text)).get_span_context().is_valid


def test_a_context_comes_only_from_its_traceparent_and_not_from_the_current_span() -> None:
    with TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("own"):
        context = telemetry.context_from("")

    assert not trace.get_current_span(context).get_span_context().is_valid


def test_the_resource_says_which_process_of_which_interface_it_is() -> None:
    attributes = telemetry.describe_process(RuntimeSettings("nat", "wg7", Path("/run/wgmesh/wg7")), "1.2.3").attributes

    assert attributes["service.name"] == "wgmesh-nat"
    assert attributes["service.version"] == "1.2.3"
    assert attributes["wgmesh.interface"] == "wg7"
    assert {"service.instance.id", "host.name"} <= attributes.keys()


def test_configure_wakes_instruments_that_were_made_before_and_starts_no_thread() -> None:
    code = """
import threading
from pathlib import Path
from wgmesh.runtime import telemetry
from wgmesh.runtime.settings import RuntimeSettings
counter, tracer = telemetry.meter("t").create_counter("early_total"), telemetry.tracer("t")
telemetry.configure(RuntimeSettings("node", "wg0", Path("/nowhere")), service_version="1")
counter.add(1)
with tracer.start_as_current_span("s"):
    assert telemetry.inject()
assert threading.active_count() == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
