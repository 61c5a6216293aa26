"""The activities: the steps that use MongoDB, the object store and Temporal's client."""
