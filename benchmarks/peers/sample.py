"""The sample that is exported: few orders, so that the database takes little of the time."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase

from dev import orders
from exports.models import ExportRequest

# The embedded database aggregates some thousands of orders a second, so that with 2,000 of them
# all tools would be as fast as it is: a few exports a second.
ORDERS: Final = 60
REQUEST: Final = ExportRequest(
    type="statsMonthly", params={"year": 2026, "month": 10}, created_by="u1", format="csv"
)
# October 2026 in Shanghai, eight hours ahead of UTC all year.
_START: Final = datetime(2026, 10, 1, tzinfo=UTC) - timedelta(hours=8)
_END: Final = datetime(2026, 11, 1, tzinfo=UTC) - timedelta(hours=8)


async def load(database: AsyncDatabase[dict[str, Any]]) -> None:
    """Put orders of one month into the collection that `statsMonthly` reads."""
    month = [order for order in orders.orders() if _START <= order["createdAt"] < _END]
    collection = database[orders.COLLECTION]
    chosen = month[:: len(month) // ORDERS][:ORDERS]  # from all over the month
    await collection.insert_many(chosen)
    await collection.create_index("createdAt")
