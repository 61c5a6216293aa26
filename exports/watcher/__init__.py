"""Starts the exports that other systems insert, at once."""
