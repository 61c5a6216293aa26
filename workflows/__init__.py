"""The workflows: an export and the sweep, as Temporal runs them."""
