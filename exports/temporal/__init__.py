"""What talks to Temporal outside of a workflow."""
