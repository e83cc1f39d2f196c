"""The two back ends of the device, netlink, and the identity on disk.

Owns: every system call of the wireguard service.
Never: decides what the device should be.
Start: backend.py.
"""
