"""The quotas that hold for a person who asks for reports."""

from collections.abc import Iterable

from exports.reports.report import Report
from exports.tasks.quotas import Limit


def limits_of(reports: Iterable[Report], *, quota_open: int, quota_per_day: int) -> list[Limit]:
    """Return the limits of all reports together, and those of each of these.

    Args:
        reports: The reports.
        quota_open: How many exports of all reports may be open; 0 for no limit.
        quota_per_day: How many may be asked for on one day; 0 for no limit.
    """
    limits = [Limit("open", None, quota_open), Limit("day", None, quota_per_day)]
    for report in reports:
        limits.append(Limit("open", report.type, report.quota_open))
        limits.append(Limit("day", report.type, report.quota_per_day))
    return [limit for limit in limits if limit.most]
