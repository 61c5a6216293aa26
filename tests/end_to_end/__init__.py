"""Whole installations, and what the documentation tells people to type: `make test-e2e`."""
