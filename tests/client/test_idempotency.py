"""A call that is repeated under the same idempotency key creates one export."""

import asyncio
from typing import Any

import pytest

from exports import envelope
from exports.errors import IdempotencyKeyError, RequestError, TaskNotFoundError
from exports.models import TaskStatus
from tests.support.protections import protected_by
from tests.support.service import MONTH, USER, Service, insert_orders

KEY = {"idempotency_key": "october, 1st try"}


@protected_by(
    "exports/tasks/asking.py",
    'document["_id"] = ObjectId(task_id)',
    instead='document["_id"] = ObjectId()',
)
@pytest.mark.parametrize("times", [2, 20])
async def test_calls_at_the_same_time_with_one_key_create_one_task(
    service: Service, times: int
) -> None:
    await insert_orders(service.database)
    created = await asyncio.gather(*(service.create(**KEY) for _ in range(times)))
    assert len({task.id for task in created}) == 1
    ended = await service.ended(created[0].id)
    assert (ended.status, ended.retries) == (TaskStatus.DONE, 0)
    assert len(await service.client.list(created_by=USER)) == 1
    await service.run_of(ended.id).result()  # staged parts are removed after the task is done
    assert service.keys() == [(await service.document(ended.id))["objectKey"]]


async def test_a_call_that_is_repeated_later_returns_the_export_as_it_is_then(
    service: Service,
) -> None:
    await insert_orders(service.database)
    done = await service.exported(**KEY)
    assert done.status is TaskStatus.DONE
    again = await service.create(**KEY)
    assert again.joined
    changed = {"updated_at": None, "joined": False}
    assert again.model_copy(update=changed) == done.model_copy(update=changed)


async def test_a_repeated_call_starts_the_task_of_a_call_that_died_after_storing_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def died(*_: object, **__: object) -> None:
        raise KeyError

    await insert_orders(service.database)
    with monkeypatch.context() as patched:
        patched.setattr("exports.client.asking.start_export", died)
        with pytest.raises(KeyError):
            await service.create(**KEY)
    assert (await service.exported(**KEY)).status is TaskStatus.DONE


@pytest.mark.parametrize(
    "other",
    [
        {"format": "xlsx"},
        {"params": MONTH | {"month": 9}},
        {"kind": "statsAnnual"},
    ],
    ids=str,
)
async def test_another_request_with_the_same_key_is_refused(
    idle_service: Service, other: dict[str, Any]
) -> None:
    first = await idle_service.create(**KEY)
    with pytest.raises(IdempotencyKeyError, match="was used for another export"):
        await idle_service.create(**KEY, **other)
    [kept] = await idle_service.client.list(created_by=USER)
    assert (kept.id, kept.format, kept.params) == (first.id, first.format, first.params)


@protected_by(
    "exports/names.py",
    "named = json.dumps([task_queue, created_by, idempotency_key]).encode()",
    instead="named = json.dumps([task_queue, idempotency_key]).encode()",
)
async def test_a_key_belongs_to_one_person(idle_service: Service) -> None:
    mine, theirs = [await idle_service.create(created_by=who, **KEY) for who in ("u1", "u2")]
    assert mine.id != theirs.id
    with pytest.raises(TaskNotFoundError):
        await idle_service.client.get(mine.id, created_by="u2")


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_a_key_that_is_empty_or_too_long_is_refused(idle_service: Service, key: str) -> None:
    with pytest.raises(RequestError, match="1 to 200 characters"):
        await idle_service.create(idempotency_key=key)
    assert await idle_service.client.list(created_by=USER) == []


@pytest.mark.parametrize("key", ["a", "任务/1 ?#\n", "$gt"])
async def test_any_text_is_a_key(idle_service: Service, key: str) -> None:
    made = [await idle_service.create(idempotency_key=key) for _ in range(2)]
    assert made[0].id == made[1].id


async def test_the_envelope_takes_a_key(idle_service: Service) -> None:
    payload = {"type": "statsMonthly", "params": MONTH, "idempotencyKey": "k"}
    asked = {"action": "create", "payload": payload, "uid": USER}
    answers = [await envelope.handle(idle_service.client, asked) for _ in range(2)]
    first: Any = answers[0]["data"]
    second: Any = answers[1]["data"]
    assert first["_id"] == second["_id"]
    payload["format"] = "xlsx"
    refused: Any = await envelope.handle(idle_service.client, asked)
    assert refused["error"]["code"] == "E_IDEMPOTENCY_KEY"
