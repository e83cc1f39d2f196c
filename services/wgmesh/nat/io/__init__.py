"""Sockets, threads, the clock and the instruments of the nat service."""
