"""Benchmarks: what an export costs, beside what a good engineer would expect it to cost."""
