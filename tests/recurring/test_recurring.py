"""What a recurring export promises to its owner, on a real Temporal server."""

import asyncio
import base64
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr
from temporalio.api.workflowservice.v1 import DescribeScheduleRequest
from temporalio.client import Client, ScheduleOverlapPolicy
from temporalio.common import SearchAttributeKey

from exports import names
from exports.clock import from_epoch_ms, now_ms
from exports.errors import (
    ExportError,
    FormatUnknownError,
    IdempotencyKeyError,
    ParamsError,
    QuotaError,
    RequestError,
    TaskNotFoundError,
    TaskStateError,
    UnreachableError,
)
from exports.models import ExportRequest, TaskStatus
from exports.recurring import RecurringExports
from exports.recurring.record import RecurringExport
from exports.settings import Settings
from tests.support.protections import protected_by
from tests.support.recurring import (
    backfilled,
    closed_runs,
    ended,
    monthly,
    schedule_of,
    what_was_done,
)
from tests.support.service import USER, Service, insert_orders, open_service

NOT_THERE = "0123456789abcdef01234567"
STRANGER = "u2"


async def test_three_months_are_backfilled_each_once_however_often_they_are_asked_for(
    service: Service,
) -> None:
    await insert_orders(service.database)
    made = await monthly(service, format="xlsx")
    ids = await backfilled(service, made, "2026-08-01T08:00", "2026-11-01T08:00")
    assert await backfilled(service, made, "2026-08-01T08:00", "2026-11-01T08:00") == ids
    closed = await closed_runs(service, made, 6)
    assert Counter(closed) == {names.workflow_id(task_id): 2 for task_id in ids}
    tasks = await service.client.list(created_by=USER, recurring=made.id)
    assert {task.id: (task.params, task.status, task.file_name) for task in tasks} == {
        task_id: ({"year": 2026, "month": month}, "done", f"statsMonthly-2026-0{month}.xlsx")
        for task_id, month in zip(ids, (7, 8, 9), strict=True)
    }
    assert await service.client.list(created_by=USER, recurring=NOT_THERE) == []
    assert await service.client.list(created_by=STRANGER, recurring=made.id) == []


async def test_a_trigger_exports_the_month_before_also_while_it_is_paused(
    service: Service,
) -> None:
    await insert_orders(service.database)
    recurring = service.client.recurring
    made = await monthly(service)
    paused = await recurring.pause(made.id, created_by=USER, reason="a holiday")
    assert (paused.state, paused.next_runs) == ("paused", [])
    assert paused.note == "paused by u1 (client): a holiday"
    await recurring.trigger(made.id, created_by=USER)
    [task] = await ended(service, made.id, 1)
    today = from_epoch_ms(now_ms()).astimezone(ZoneInfo("Asia/Shanghai"))
    months = today.year * 12 + today.month - 2
    assert task.params == {"year": months // 12, "month": months % 12 + 1}
    resumed = await recurring.resume(made.id, created_by=USER)
    assert (resumed.state, resumed.note) == ("active", "resumed by u1 (client)")

    await recurring.delete(made.id, created_by=USER)
    with pytest.raises(TaskNotFoundError):
        await recurring.get(made.id, created_by=USER)
    assert await recurring.list(created_by=None) == []
    assert (await service.client.get(task.id, created_by=USER)).status is TaskStatus.DONE
    [record] = await service.database["ExportRecurring"].find({}).to_list()
    did = [(entry["did"], entry["user"], entry["origin"]) for entry in record["audit"]]
    assert did == [
        (did, USER, "client") for did in ("created", "paused", "triggered", "resumed", "deleted")
    ]


async def test_an_operator_reads_in_temporal_whose_it_is_and_what(idle_service: Service) -> None:
    made = await monthly(idle_service, name="Figures", on="1st", at="09:30")
    described = await schedule_of(idle_service, made).describe()
    assert described.schedule.state.note == "Figures, of u1"
    memo = {name: await described.memo_value(name) for name in ("owner", "what", "when")}
    assert memo == {
        "owner": USER,
        "what": "statsMonthly previous month csv",
        "when": "1st 09:30 Asia/Shanghai",
    }
    found = described.typed_search_attributes
    assert found.get(SearchAttributeKey.for_keyword(names.SEARCH_CREATED_BY)) == USER
    assert found.get(SearchAttributeKey.for_keyword(names.SEARCH_STATUS)) is None
    policy = described.schedule.policy
    assert policy.catchup_window == timedelta(days=1)
    assert policy.overlap is ScheduleOverlapPolicy.BUFFER_ONE
    times = [from_epoch_ms(time).astimezone(ZoneInfo("Asia/Shanghai")) for time in made.next_runs]
    assert [f"{time:%d %H:%M}" for time in times] == ["01 09:30"] * 3


async def test_its_input_is_encrypted_and_a_resume_gives_it_the_new_key(
    settings: Settings, temporal_address: str
) -> None:
    made: RecurringExport | None = None
    for key_id in ("a", "b"):
        key = f"{key_id}:{base64.b64encode(key_id.encode() * 32).decode()}"
        keyed = settings.model_copy(update={"encryption_key": SecretStr(key)})
        async with open_service(keyed, temporal_address) as service:
            if made is None:
                made = await monthly(service)
            else:
                await service.client.recurring.resume(made.id, created_by=USER)
            found = await service.temporal.workflow_service.describe_schedule(
                DescribeScheduleRequest(
                    namespace="default", schedule_id=schedule_of(service, made).id
                )
            )
        action = found.schedule.action.start_workflow
        for payload in (*action.input.payloads, action.user_metadata.summary):
            assert payload.metadata["encryption-key-id"] == key_id.encode()


def test_older_workers_understand_the_other_exports() -> None:
    sent = ExportRequest(type="statsMonthly", created_by=USER).model_dump()
    assert set(sent) == {"type", "params", "createdBy", "format", "taskId"}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"period": "previous year"}, ParamsError),
        ({"period": "previous month", "params": {"year": 2026}}, ParamsError),
        ({"period": None}, ParamsError),
        ({"on": None}, RequestError),
        ({"timezone": "Asia/Nowhere"}, RequestError),
        ({"name": "a\nb"}, RequestError),
        ({"created_by": ""}, RequestError),
        ({"idempotency_key": ""}, RequestError),
        ({"format": "docx"}, ExportError),
        # Only Temporal knows this.
        ({"on": None, "cron": "0 8 1 * FOO"}, RequestError),
    ],
)
async def test_what_can_not_recur_is_refused_and_leaves_nothing(
    idle_service: Service, given: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await monthly(idle_service, **given)
    assert await idle_service.client.recurring.list(created_by=None) == []
    there = [
        found.id
        async for found in await idle_service.temporal.list_schedules()
        if found.id.startswith(idle_service.settings.task_queue)
    ]
    assert there == []


async def test_many_who_create_at_once_get_as_many_as_they_may_have(
    idle_service: Service, temporal_address: str
) -> None:
    few = idle_service.settings.model_copy(update={"quota_recurring": 3})
    async with open_service(few, temporal_address) as service:
        answers = await asyncio.gather(
            *(monthly(service) for _ in range(12)), return_exceptions=True
        )
        made = [answer for answer in answers if isinstance(answer, RecurringExport)]
        assert len(made) == 3
        assert {type(answer) for answer in answers} == {RecurringExport, QuotaError}
        await monthly(service, created_by=STRANGER)
        await service.client.recurring.delete(made[0].id, created_by=USER)
        await monthly(service)
        with pytest.raises(QuotaError, match="You have 3 recurring exports, and the limit is 3"):
            await monthly(service)


async def test_one_key_makes_one_recurring_export_of_each_person(idle_service: Service) -> None:
    asked = await asyncio.gather(
        *(monthly(idle_service, idempotency_key="figures") for _ in range(5))
    )
    assert len({made.id for made in asked}) == 1
    other = await monthly(idle_service, idempotency_key="figures", created_by=STRANGER)
    assert other.id != asked[0].id
    with pytest.raises(IdempotencyKeyError, match="for another recurring export"):
        await monthly(idle_service, idempotency_key="figures", format="xlsx")
    await idle_service.client.recurring.delete(other.id, created_by=STRANGER)
    with pytest.raises(IdempotencyKeyError, match="that is deleted"):
        await monthly(idle_service, idempotency_key="figures", created_by=STRANGER)


async def test_a_mistyped_cron_expression_leaves_its_key_to_the_corrected_call(
    idle_service: Service,
) -> None:
    for _ in range(2):
        with pytest.raises(RequestError, match="can't read when it is due"):
            await monthly(idle_service, on=None, cron="0 8 1 * FOO", idempotency_key="figures")
    made = await monthly(idle_service, on=None, cron="0 8 1 * *", idempotency_key="figures")
    again = await monthly(idle_service, on=None, cron="0 8 1 * *", idempotency_key="figures")
    assert (made.state, again.id) == ("active", made.id)
    assert await what_was_done(idle_service, made) == ["created"]
    assert await idle_service.database["ExportRecurring"].count_documents({}) == 1


async def test_a_trigger_that_is_repeated_with_its_key_makes_no_other_export(
    service: Service,
) -> None:
    await insert_orders(service.database)
    made = await monthly(service)
    trigger = service.client.recurring.trigger
    await trigger(made.id, created_by=USER, idempotency_key="now")
    [task] = await ended(service, made.id, 1)
    second = now_ms() // 1000
    while now_ms() // 1000 == second:
        await asyncio.sleep(0.05)
    await trigger(made.id, created_by=USER, idempotency_key="now")
    assert Counter(await closed_runs(service, made, 2)) == {names.workflow_id(task.id): 2}
    assert len(await service.client.list(created_by=USER, recurring=made.id)) == 1
    assert await what_was_done(service, made) == ["created", "triggered"]
    await trigger(made.id, created_by=USER, idempotency_key="again")
    assert [one.status for one in await ended(service, made.id, 2)] == ["done", "done"]


async def test_who_can_not_be_made_is_not_resumed(idle_service: Service) -> None:
    made = await monthly(idle_service)
    await idle_service.database["ExportRecurring"].update_one({}, {"$set": {"format": "docx"}})
    for act in (idle_service.client.recurring.resume, idle_service.client.recurring.trigger):
        with pytest.raises(FormatUnknownError):
            await act(made.id, created_by=USER)
    assert await what_was_done(idle_service, made) == ["created"]


@pytest.mark.parametrize("heal", ["list", "the same call"])
async def test_one_that_broke_off_before_its_schedule_is_completed_later(
    idle_service: Service, heal: str
) -> None:
    away = UnreachableError("Temporal is away.")
    with (
        patch.object(Client, "create_schedule", side_effect=away),
        pytest.raises(UnreachableError),
    ):
        await monthly(idle_service, idempotency_key="figures")
    if heal == "list":
        [made] = await idle_service.client.recurring.list(created_by=USER)
    else:
        made = await monthly(idle_service, idempotency_key="figures")
    assert (made.state, len(made.next_runs)) == ("active", 3)
    await schedule_of(idle_service, made).describe()


async def test_a_schedule_that_was_deleted_in_temporal_is_missing_until_it_is_resumed(
    idle_service: Service,
) -> None:
    recurring = idle_service.client.recurring
    made = await monthly(idle_service)
    await schedule_of(idle_service, made).delete()
    assert (await recurring.get(made.id, created_by=USER)).state == "missing"
    for act in (recurring.pause, recurring.trigger):
        with pytest.raises(TaskStateError, match="deleted in Temporal"):
            await act(made.id, created_by=USER)
    assert (await recurring.resume(made.id, created_by=USER)).state == "active"
    await schedule_of(idle_service, made).delete()
    await recurring.delete(made.id, created_by=USER)


async def test_a_pause_in_temporals_web_ui_shows(idle_service: Service) -> None:
    made = await monthly(idle_service)
    await schedule_of(idle_service, made).pause(note="by an operator")
    shown = await idle_service.client.recurring.get(made.id, created_by=USER)
    assert (shown.state, shown.note) == ("paused", "by an operator")


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        ("2026-10-02T00:00", "2026-11-01T08:00", "not a single times"),
        ("1990-01-01T00:00", "2026-11-01T08:00", "due 442 times"),
        ("2026-11-01T08:00", "2026-10-01T08:00", "of past times"),
        ("2026-11-01T08:00", "2126-11-01T08:00", "of past times"),
    ],
)
async def test_a_backfill_of_nothing_of_too_much_or_of_the_future_is_refused(
    idle_service: Service, since: str, until: str, message: str
) -> None:
    made = await monthly(idle_service)
    with pytest.raises(RequestError, match=message):
        await backfilled(idle_service, made, since, until)
    assert await what_was_done(idle_service, made) == ["created"]


Act = Callable[[RecurringExports, str, str], Awaitable[object]]
ACTS: dict[str, Act] = {
    "get": lambda client, id_, who: client.get(id_, created_by=who),
    "audit": lambda client, id_, who: client.audit(id_, created_by=who),
    "pause": lambda client, id_, who: client.pause(id_, created_by=who, reason="mine"),
    "resume": lambda client, id_, who: client.resume(id_, created_by=who),
    "trigger": lambda client, id_, who: client.trigger(id_, created_by=who),
    "backfill": lambda client, id_, who: client.backfill(
        id_, created_by=who, since=1_785_542_400_000, until=1_793_491_200_000
    ),
    "delete": lambda client, id_, who: client.delete(id_, created_by=who),
}


@protected_by(
    "exports/recurring/store.py",
    "if record is None or created_by not in (None, record.created_by):",
    instead="if record is None:",
)
async def test_a_recurring_export_of_somebody_else_does_not_exist(idle_service: Service) -> None:
    methods = {name for name in vars(RecurringExports) if not name.startswith("_")}
    assert methods == {*ACTS, "create", "list"}
    made = await monthly(idle_service)
    client = idle_service.client.recurring
    records = idle_service.database["ExportRecurring"]
    before = await records.find({}).to_list()
    for name, act in ACTS.items():
        for id_ in (made.id, NOT_THERE, "\udcff"):
            with pytest.raises(TaskNotFoundError, match=r"^There is no such recurring export\.$"):
                await act(client, id_, STRANGER)
        assert await records.find({}).to_list() == before, name
    assert await client.list(created_by=STRANGER) == []
    assert (await client.get(made.id, created_by=None)).state == "active"
    described = await schedule_of(idle_service, made).describe()
    assert described.info.num_actions == 0
