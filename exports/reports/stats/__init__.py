"""Statistics: a row per day or month and group."""
