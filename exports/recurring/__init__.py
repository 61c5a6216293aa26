"""Recurring exports: each is a record, and a Temporal Schedule that starts its exports."""

from exports.recurring.service import RecurringExports

__all__ = ["RecurringExports"]
