"""The commands of `wgmesh`, one module each; `wgmesh.cli.catalogue` lists them.

Owns    the arguments and the output of one command a module.
Never   exits: a command returns an exit code or raises an error of wgmesh.core.errors.
Start   version.py, then peers.py.
"""
