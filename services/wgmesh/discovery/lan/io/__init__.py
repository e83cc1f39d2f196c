"""The multicast sockets, one for each interface."""
