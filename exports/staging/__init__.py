"""Staged parts: rows on their way from the database to the file, as Arrow IPC streams."""
