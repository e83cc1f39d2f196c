"""The command line `wgmesh`.

Owns    arguments, settings from flags, environment and file, output, exit codes.
Never   decides anything about the mesh: it asks the node, or derives values from a secret with wgmesh.core.
Start   app.py, then one file a command in commands/.
"""
