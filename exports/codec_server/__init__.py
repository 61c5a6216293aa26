"""The codec server: lets the Temporal Web UI show encrypted payloads."""
