"""The small export that is measured: the statistics of one month."""

from typing import Final

REPORT: Final = "statsMonthly"
MONTH: Final[dict[str, object]] = {"year": 2026, "month": 10}
