"""Lists of exports: filters, and pages that neither skip a task nor show one twice."""

from datetime import UTC, datetime
from typing import Any, Final

import pytest
from bson import Decimal128, MaxKey, MinKey, ObjectId, Regex, Timestamp

from exports.clock import epoch_ms
from exports.errors import RequestError
from exports.models import TaskStatus
from tests.support.protections import protected_by
from tests.support.service import USER, Service
from tests.support.stored_tasks import TASK

NOON: Final = datetime(2026, 10, 5, 12, tzinfo=UTC)
ODD_TIMES: Final[list[object]] = [
    *(5, 5, 5, 5.5, 6, -1e300, float("inf"), float("-inf"), float("nan"), 2**62),
    *(Decimal128("5.2"), Decimal128("NaN"), True, None, "", "soon", "5", NOON, NOON),
    *([], [5], [1, 9], ["a", None], [NOON], {}, {"$gt": 5}, {"a": 1}, b"5", ObjectId()),
    *(Regex("a"), Timestamp(5, 1), MinKey(), MaxKey()),
]


async def _insert(service: Service, **fields: Any) -> str:
    document = {**TASK, "_id": ObjectId(), **fields}
    await service.database["ExportTasks"].insert_one(document)
    return str(document["_id"])


async def _pages(service: Service, limit: int, **given: Any) -> list[str]:
    """Return the ids of a list that is read in pages."""
    found: list[str] = []
    while True:
        after = found[-1] if found else None
        page = await service.client.list(limit=limit, after=after, **given)
        found += [task.id for task in page]
        assert len(found) <= 200, "it goes on for ever"
        if len(page) < limit:
            return found


@protected_by("exports/tasks/listing.py", "or isnan(value)", instead="")
async def test_pages_show_each_task_once_whatever_is_in_its_documents(
    idle_service: Service,
) -> None:
    made = [await _insert(idle_service, createdAt=time) for time in ODD_TIMES]
    missing = {**TASK, "_id": ObjectId()}
    del missing["createdAt"]
    texts = [{**TASK, "_id": f"text {number}", "createdAt": 5} for number in range(5)]
    for document in (missing, *texts):
        await idle_service.database["ExportTasks"].insert_one(document)
    # These can't be named, so no page could go on after one of them.
    twin = {**TASK, "_id": made[2], "createdAt": 6}
    for document in (twin, {**TASK, "_id": 7}, {**TASK, "_id": {"a": 1}}):
        await idle_service.database["ExportTasks"].insert_one(document)
    expected = {*made, str(missing["_id"]), *(str(document["_id"]) for document in texts)}
    whole = [task.id for task in await idle_service.client.list(created_by=USER)]
    assert (len(whole), set(whole)) == (len(expected), expected)
    for limit in (1, 2, 3, 7):
        for who in (USER, None):
            assert await _pages(idle_service, limit, created_by=who) == whole


async def test_new_tasks_do_not_disturb_a_list_that_is_being_read(idle_service: Service) -> None:
    old = [await _insert(idle_service, createdAt=number) for number in range(4)]
    first = await idle_service.client.list(created_by=USER, limit=2)
    await _insert(idle_service, createdAt=9)
    second = await idle_service.client.list(created_by=USER, limit=2, after=first[-1].id)
    assert [task.id for task in (*first, *second)] == old[::-1]


async def test_a_list_has_only_what_is_asked_for(idle_service: Service) -> None:
    begin = epoch_ms(NOON)
    kept: dict[str, Any] = {"type": "a", "format": "xlsx", "status": "done", "createdAt": begin}
    mine = await _insert(idle_service, **kept)
    dated = await _insert(idle_service, **kept | {"createdAt": NOON})
    for other in (
        *(
            {"type": "b"},
            {"type": ["a"]},
            {"format": "csv"},
            {"format": None},
            {"status": "failed"},
        ),
        *({"createdAt": begin - 1}, {"createdAt": begin + 1000}, {"createdAt": "soon"}),
        *({"createdAt": [begin]}, {"createdBy": "u2"}),
    ):
        await _insert(idle_service, **kept | other)
    wanted: dict[str, Any] = {
        "type": "a",
        "format": "xlsx",
        "status": TaskStatus.DONE,
        "created_from": begin,
        "created_before": begin + 1000,
    }
    assert await _pages(idle_service, 1, created_by=USER, **wanted) == [mine, dated]
    for name in wanted:
        less = {key: value for key, value in wanted.items() if key != name}
        assert len(await idle_service.client.list(created_by=USER, **less)) > 2, name
    csv = await idle_service.client.list(created_by=USER, format="csv")
    assert len(csv) == 2  # one has no format, as those of the old function


@pytest.mark.parametrize("after", ["theirs", "none", "", "0" * 24, "\udcff"])
async def test_a_list_does_not_go_on_after_what_is_not_in_it(
    idle_service: Service, after: str
) -> None:
    await _insert(idle_service, _id="theirs", createdBy="u2")
    with pytest.raises(RequestError) as refused:
        await idle_service.client.list(created_by=USER, after=after)
    assert "theirs" not in refused.value.msg
    with pytest.raises(RequestError):
        await idle_service.client.list(created_by=USER, created_from=10**18)
    last = 253_402_300_799_999  # of the year 9999
    assert await idle_service.client.list(created_by=USER, created_before=last) == []
    with pytest.raises(RequestError):
        await idle_service.client.list(created_by=USER, created_before=last + 1)
