"""The sockets of port mapping."""
