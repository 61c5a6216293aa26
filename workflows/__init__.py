"""Workflows: the durable sentences that describe an export and the sweep."""
