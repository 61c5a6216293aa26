"""Recurring exports: Temporal Schedules that ask for an export again and again."""
