"""What the metrics process says about itself and the build."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation


def register_self_metrics(
    meter: Meter, build: dict[str, str], dropped_series: Callable[[], int], dropped_payloads: Callable[[], int]
) -> None:
    """Makes wgmesh_build_info and the counts of what the metrics process had to drop observable."""

    def build_info(_options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(1, build)

    def series(_options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(dropped_series())

    def payloads(_options: CallbackOptions) -> Iterable[Observation]:
        yield Observation(dropped_payloads())

    meter.create_observable_gauge("wgmesh_build_info", [build_info], description="Always 1; the labels say what runs.")
    meter.create_observable_counter(
        "wgmesh_metrics_dropped_series_total", [series], description="Series above a bound, or without a text form."
    )
    meter.create_observable_counter(
        "wgmesh_otlp_dropped_payloads_total",
        [payloads],
        description="Exports that the OpenTelemetry backend never took.",
    )
