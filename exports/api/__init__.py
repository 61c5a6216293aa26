"""The HTTP API: what `ExportClient` does, for clients of every kind."""
