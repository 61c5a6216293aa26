"""Sample orders: the same documents every time, as varied as real ones.

Three tenants in three time zones, two of them with daylight saving time; Chinese and English
texts; exact decimal amounts; refunds; and texts that look like formulas to a spreadsheet.
"""

import struct
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from bson import Decimal128, ObjectId
from pymongo.asynchronous.database import AsyncDatabase

COLLECTION: Final = "orders"
MONTHS: Final = 14
ORDERS: Final = 56_000
# A fixed date, so that every demo shows the same numbers.
UNTIL: Final = date(2026, 11, 1)

_SEED = 20_261_101
_BATCH = 4_000
_REFUNDS_PERCENT = 4
_CENT = Decimal("0.01")
_ID_MARK = b"order"  # the five bytes of an ObjectId that are otherwise random


class _Tenant(NamedTuple):
    name: str
    timezone: ZoneInfo
    regions: tuple[str, ...]
    weight: int


_TENANTS: Final = (
    _Tenant("huamao", ZoneInfo("Asia/Shanghai"), ("华东", "华南", "华北", "西南"), 5),
    _Tenant("liberty", ZoneInfo("America/New_York"), ("Northeast", "Midwest", "South"), 3),
    _Tenant("nordwind", ZoneInfo("Europe/Berlin"), ("Nord", "Süd"), 2),
)
# Name, weight, usual price. The last four look like formulas to a spreadsheet.
_CATEGORIES: Final = (
    ("图书", 20, 49),
    ("电子产品", 14, 899),
    ("家居用品", 12, 159),
    ("食品、饮料", 16, 35),
    ("Books", 14, 18),
    ("Garden & Patio", 8, 75),
    ('Toys, "Games"', 9, 29),
    ("=SUM(A1:A9)", 2, 12),
    ("+promo", 2, 9),
    ("-clearance", 2, 5),
    ("@home", 1, 240),
)
_NOTES: Final = (
    *("", "", "", "", "请尽快发货", "gift wrap, please", "周末送货", "leave at the door"),
    *("=1+1", "+49 30 1234567", "-10% agreed by phone", "@reception", '说："谢谢"\n再见'),
)
# Orders in each hour of the tenant's day, in percent of the busiest hour.
_BUSY_HOURS: Final = (
    *(40, 30, 20, 10, 8, 8, 12, 25, 45, 65, 80, 85),
    *(75, 70, 70, 68, 66, 70, 78, 90, 100, 95, 60, 30),
)


def orders(until: date = UNTIL) -> list[dict[str, Any]]:
    """Return the orders of the fourteen months before `until`, oldest first.

    Args:
        until: The day after the last day, in UTC; the first of a month.
    """
    end = datetime.combine(until, time(), UTC)
    year, month = divmod(until.year * 12 + until.month - 1 - MONTHS, 12)
    start = datetime(year, month + 1, 1, tzinfo=UTC)
    random = Random(_SEED)
    moments = sorted(_moment(random, start, end) for _ in range(ORDERS))
    return [_order(random, number, *moment) for number, moment in enumerate(moments)]


def is_sample(document_id: object) -> bool:
    """Return whether a document with this `_id` is a sample order."""
    return isinstance(document_id, ObjectId) and document_id.binary[4:9] == _ID_MARK


async def load(database: AsyncDatabase[dict[str, Any]], until: date = UNTIL) -> int:
    """Put the sample orders into the collection `orders`, with an index on `createdAt`.

    Loading again, also after an interrupted load, gives the same documents. Other documents stay
    as they are. A collection that has only other documents is left alone: see `dev.load`.

    Args:
        database: The database.
        until: The day after the last day, in UTC; the first of a month.

    Returns:
        How many orders were written.
    """
    collection = database[COLLECTION]
    documents = orders(until)
    there = {found["_id"] async for found in collection.find({}, {"_id": True})}
    if there and not any(map(is_sample, there)):
        return 0
    missing = [order for order in documents if order["_id"] not in there]
    for first in range(0, len(missing), _BATCH):
        await collection.insert_many(missing[first : first + _BATCH])
    await collection.create_index("createdAt")  # after the load, which is faster
    return len(missing)


def _moment(random: Random, start: datetime, end: datetime) -> tuple[datetime, int]:
    """Return the time of an order, and the index of its tenant."""
    span = round((end - start) / timedelta(milliseconds=1))
    index = random.choices(range(len(_TENANTS)), [tenant.weight for tenant in _TENANTS])[0]
    while True:
        moment = start + timedelta(milliseconds=random.randrange(span))
        hour = moment.astimezone(_TENANTS[index].timezone).hour
        if random.randrange(100) < _BUSY_HOURS[hour]:
            return moment, index


def _order(random: Random, number: int, moment: datetime, tenant_index: int) -> dict[str, Any]:
    tenant = _TENANTS[tenant_index]
    category, _, price = random.choices(_CATEGORIES, [weight for _, weight, _ in _CATEGORIES])[0]
    quantity = random.choices((1, 2, 3, 4, 12), (60, 22, 10, 6, 2))[0]
    amount = (Decimal(price) * quantity * random.randrange(70, 140) / 100).quantize(_CENT)
    amount += random.randrange(100) * _CENT
    refund = random.randrange(100) < _REFUNDS_PERCENT
    return {
        "_id": ObjectId(
            struct.pack(">I", int(moment.timestamp())) + _ID_MARK + number.to_bytes(3, "big")
        ),
        "tenant": tenant.name,
        "timezone": tenant.timezone.key,
        "uid": f"u{random.randrange(1, 601)}",
        "category": category,
        "region": random.choice(tenant.regions),
        "kind": "refund" if refund else "sale",
        "quantity": quantity,
        "amount": Decimal128(-amount if refund else amount),
        "note": random.choice(_NOTES),
        "createdAt": moment,
    }
