"""Supervisor: the life of the processes of one node.

Owns    the order of starting and stopping, readiness, restarts, who runs as whom, the lock of the interface.
Never   speaks gRPC, opens a network socket, knows what a service is about.
Start   lifecycle.py (one child, as a table), supervision.py (all of them), supervisor.py (`run`).
"""
