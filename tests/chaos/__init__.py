"""Faults: killed processes, cut connections, servers that fail, and what is left afterwards."""
