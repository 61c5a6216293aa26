"""Lists of exports: filters, and pages that neither skip a task nor show one twice."""

import base64
from datetime import UTC, datetime
from typing import Any, Final

import bson
import pytest
from bson import Decimal128, MaxKey, MinKey, ObjectId, Regex, Timestamp

from exports.client import following
from exports.clock import epoch_ms
from exports.errors import RequestError
from exports.models import TaskStatus
from exports.tasks.listing import Place
from tests.support.protections import protected_by
from tests.support.service import USER, Service
from tests.support.stored_tasks import TASK

NOON: Final = datetime(2026, 10, 5, 12, tzinfo=UTC)
ODD_TIMES: Final[list[object]] = [
    *(5, 5, 5, 5.5, 6, -1e300, float("inf"), float("-inf"), float("nan"), 2**62),
    *(
        Decimal128("5.2"),
        Decimal128("NaN"),
        Decimal128("sNaN"),
        True,
        None,
        "",
        "soon",
        "5",
        NOON,
        NOON,
    ),
    *([], [5], [1, 9], ["a", None], [NOON], {}, {"$gt": 5}, {"a": 1}, b"5", ObjectId()),
    *(Regex("a"), Timestamp(5, 1), MinKey(), MaxKey()),
]


async def _insert(service: Service, **fields: Any) -> str:
    document = {**TASK, "_id": ObjectId(), **fields}
    await service.database["ExportTasks"].insert_one(document)
    return str(document["_id"])


async def _pages(service: Service, limit: int, *, by_id: bool = False, **given: Any) -> list[str]:
    """Return the ids of a list that is read in pages."""
    found: list[str] = []
    after = None
    while True:
        page = await service.client.page(limit=limit, after=after, **given)
        found += [task.id for task in page.items]
        assert len(found) <= 200, "it goes on for ever"
        if page.next is None:
            return found
        after = found[-1] if by_id else page.next


@protected_by("exports/tasks/listing.py", " or _is_nan(created_at)", instead="")
async def test_pages_show_each_task_once_whatever_is_in_its_documents(
    idle_service: Service,
) -> None:
    made = [await _insert(idle_service, createdAt=time) for time in ODD_TIMES]
    missing = {**TASK, "_id": ObjectId()}
    del missing["createdAt"]
    texts = [
        {**TASK, "_id": text, "createdAt": 5}
        for text in (*map(str, range(5)), "next-month", str(Place(0, 5, "t1"))[:-4])
    ]
    for document in (missing, *texts):
        await idle_service.database["ExportTasks"].insert_one(document)
    # These can't be named, so no page could go on after one of them.
    twin = {**TASK, "_id": made[2], "createdAt": 6}
    for document in (twin, {**TASK, "_id": 7}, {**TASK, "_id": {"a": 1}}):
        await idle_service.database["ExportTasks"].insert_one(document)
    expected = {*made, str(missing["_id"]), *(str(document["_id"]) for document in texts)}
    whole = [task.id for task in await idle_service.client.list(created_by=USER)]
    assert (len(whole), set(whole)) == (len(expected), expected)
    for limit, who, by_id in ((1, USER, False), (1, None, True), (2, None, False), (7, USER, True)):
        assert await _pages(idle_service, limit, by_id=by_id, created_by=who) == whole


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


async def test_a_list_goes_on_after_a_task_that_was_removed(idle_service: Service) -> None:
    for time in (5, 5, 5.5, NOON, NOON, "soon", None):
        await _insert(idle_service, createdAt=time)
    whole = [task.id for task in await idle_service.client.list(created_by=USER)]
    after = None
    for number, task_id in enumerate(whole):
        page = await idle_service.client.page(created_by=USER, after=after, limit=1)
        assert [task.id for task in page.items] == [task_id]
        assert (page.next is None) == (number == len(whole) - 1)
        await idle_service.database["ExportTasks"].delete_one({"_id": ObjectId(task_id)})
        after = page.next


async def test_a_list_may_be_longer_than_a_page(
    idle_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_MAX_PER_PAGE", 2)
    made = [await _insert(idle_service, createdAt=number) for number in range(5)]
    for limit in (1, 2, 3, 4, 5, 10**9):
        found = await idle_service.client.list(created_by=USER, limit=limit)
        assert [task.id for task in found] == made[::-1][:limit]


def _next(**place: object) -> str:
    packed = bson.encode({"group": 0, "created_at": 5, "stored_id": "t1", **place})
    return f"next-{base64.urlsafe_b64encode(packed).decode()}"


@pytest.mark.parametrize(
    "after",
    [
        *("next-", "next-AAAA", "next-%", "next-\udcff", _next()[:-4]),
        *(_next(group=group) for group in (-1, 1, 2, 3, 4, "0", None)),
        *(
            _next(created_at=time)
            for time in (None, "5", {"$gt": 5}, [5], True, float("nan"), Decimal128("sNaN"))
        ),
        *(_next(stored_id=stored_id) for stored_id in (None, 5, {"$gt": ""}, ["t1"])),
    ],
)
def test_what_no_page_has_given_is_no_place(after: str) -> None:
    assert Place.read(after) is None


@pytest.mark.parametrize(
    "after", ["theirs", "none", "", "0" * 24, "\udcff", "next-AAAA", "next-\udcff"]
)
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
