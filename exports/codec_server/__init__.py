"""The codec server, with which the Temporal Web UI shows encrypted payloads."""
