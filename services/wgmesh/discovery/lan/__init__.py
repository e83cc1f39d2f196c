"""Finding peers on a LAN: announcements to a multicast group.

Owns    when to announce, and which announcements to believe.
Start   layer.py.
"""
