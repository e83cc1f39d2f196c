"""Port mapping: asks the router to forward our ports, by PCP, NAT-PMP or UPnP-IGD (docs/decisions/0032)."""
