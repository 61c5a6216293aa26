"""Whole installations, and what the documentation tells people to type: `make test-end-to-end`."""
