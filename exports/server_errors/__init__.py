"""Translates the errors of MongoDB, the object store and Temporal into those of this service.

Each module lists the errors of one server that need an answer of their own. An error that is not
listed may pass, so it is retried. `docs/errors.md` is generated from these tables.
"""
