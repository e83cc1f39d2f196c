"""The two back ends of the device, netlink, and the identity on disk.

Owns: every system call of the wireguard service.
Never: decides what the device shall be.
Start: backend.py.
"""
