"""Recurring exports: each is a record, and a Temporal Schedule that starts its exports."""

from exports.recurring.exports import RecurringExports

__all__ = ["RecurringExports"]
