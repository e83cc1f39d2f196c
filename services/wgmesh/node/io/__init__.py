"""The node's event loop side: watches of the other services, and the turns."""
