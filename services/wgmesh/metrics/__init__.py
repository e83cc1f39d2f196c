"""Metrics: what the node's processes measure, for Prometheus and for OpenTelemetry backends.

Owns    the OTLP receiver of a node, the `/metrics` page, forwarding to a backend.
Never   measures anything about the mesh itself: the services do.
Start   samples.py, then exposition.py.
"""
