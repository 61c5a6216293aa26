"""Encryption of the payloads that Temporal stores."""
