"""Activities: the steps that touch MongoDB, the object store and Temporal itself."""
