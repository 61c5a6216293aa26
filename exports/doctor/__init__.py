"""`exports doctor`: looks at all that exports need, and says what mends what is wrong."""
