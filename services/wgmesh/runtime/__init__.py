"""Runtime: the shell that every service shares.

Owns    the event loop, signals, exit codes, the gRPC server on a unix socket, the mapping of errors to statuses,
        UDP sockets and timers, logs, telemetry, files written whole.
Never   knows what a service is about.
Start   service.py: `run_service` and the `Shell` that a service's main is given.
"""
