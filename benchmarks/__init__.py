"""Benchmarks: what an export costs, compared with what a good engineer would expect."""
