"""What the supervisor tells of its children, from their lifecycles and heartbeats."""

from __future__ import annotations

from wgmesh.runtime.node_report import SILENT, NodeReport, ServiceReport
from wgmesh.supervisor.heartbeats import Heartbeats
from wgmesh.supervisor.lifecycle import Lifecycle, Phase
from wgmesh.supervisor.settings import SupervisorSettings
from wgmesh.supervisor.supervision import Supervision


def node_report(
    settings: SupervisorSettings, pid: int, supervision: Supervision, heartbeats: Heartbeats, problem: str, now: float
) -> NodeReport:
    """Everything that is known at `now`, in seconds of the supervisor's clock."""
    services = tuple(_service(name, life, heartbeats.silence_s(name), now) for name, life in supervision.lives.items())
    return NodeReport(
        settings.interface, pid, str(settings.interface_dir), str(settings.control_path), problem, services
    )


def _service(name: str, life: Lifecycle, silence_s: float | None, now: float) -> ServiceReport:
    if life.phase is Phase.RUNNING and silence_s is not None:
        return ServiceReport(name, SILENT, round(silence_s, 1), life.failure_count)
    since_s = 0.0 if life.phase_since is None else now - life.phase_since
    return ServiceReport(name, life.phase.value, round(since_s, 1), life.failure_count)
