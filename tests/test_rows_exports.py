"""The documents of some days, from asking to holding the file."""

import csv
import io
from datetime import UTC, datetime, timedelta

from bson import Decimal128, ObjectId

from exports.models import TaskStatus
from tests.service import Service, downloaded

OCTOBER = {"from": "2026-10-01", "to": "2026-11-01"}
FIRST = datetime(2026, 9, 30, 16, tzinfo=UTC)  # midnight in Shanghai


async def _insert(service: Service, *moments: datetime) -> None:
    await service.database["orders"].insert_many(
        [
            {
                "_id": ObjectId(f"{index:024x}"),
                "createdAt": moment,
                "tenant": "huamao",
                "uid": "u1",
                "category": "图书",
                "region": "华东",
                "kind": "sale",
                "quantity": index,
                "amount": Decimal128("12.50"),
                "note": "=1+1",
            }
            for index, moment in enumerate(moments)
        ]
    )


async def test_an_analyst_gets_every_order_of_a_month_in_order(service: Service) -> None:
    before, end = FIRST - timedelta(milliseconds=1), FIRST + timedelta(days=31)
    last = end - timedelta(milliseconds=1)
    await _insert(service, last, end, FIRST, before)
    task = await service.exported("recordsDetail", params=OCTOBER, format="csv")
    rows = list(csv.reader(io.StringIO(downloaded(task.download_url).decode("utf-8-sig"))))
    assert task.status is TaskStatus.DONE, task.error
    assert task.file_name == "recordsDetail-2026-10-01_2026-11-01.csv"
    assert [row[0] for row in rows] == ["订单号 Order", f"{2:024x}", f"{0:024x}"]
    assert [row[1] for row in rows[1:]] == [
        "2026-10-01T00:00:00.000+08:00",
        "2026-10-31T23:59:59.999+08:00",
    ]
    assert [row[7:9] for row in rows[1:]] == [["2", "12.50"], ["0", "12.50"]]
