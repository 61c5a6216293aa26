"""Rows: one per document."""
