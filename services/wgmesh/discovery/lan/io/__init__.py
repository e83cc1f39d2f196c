"""The multicast sockets, one for each interface and family."""
