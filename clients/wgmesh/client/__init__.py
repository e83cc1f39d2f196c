"""Client: typed asynchronous clients of the node's services, for the CLI, the services themselves and tests.

Owns    channels, deadlines, reconnection of watches, turning a status back into an error of wgmesh.core.errors.
Never   decides anything about the mesh.
Start   channel.py, then discovery.py.
"""
