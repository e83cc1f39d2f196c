"""Machines made of network namespaces, and real nodes on them.

Owns: the namespaces, bridges, processes and directories of one run, and their removal. The demo, the lab tests and the
benchmarks share it.
Never: touches an interface, a route or a process that it did not make; nothing inside leads to the outside.
Start: `fabric.py` builds the network, `nodes.py` starts `wgmesh join` on it, `live.py` is `wgmesh demo`.
"""
