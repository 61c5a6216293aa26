"""A task's id means one document, also if a second one has the same digits in another form."""

from typing import Any, Final

import pytest
from bson import ObjectId

from exports.errors import TaskInvalidError, TaskLostError, TaskNotFoundError
from exports.names import file_key
from tests.support.protections import protected_by
from tests.support.task_steps import ENDED, ME, REQUEST, TRANSITIONS, Tasks, insert

ID: Final = "6b04e9c37b18ed84111ce662"
RUN: Final = ME.model_copy(update={"task_id": ID, "workflow_id": f"export-{ID}"})
every_transition = pytest.mark.parametrize("name", TRANSITIONS)
the_object_id_counts = protected_by(
    "exports/tasks/collection.py",
    "            if await self.exists(stored_id):\n                return False\n",
)


@every_transition
@the_object_id_counts
async def test_a_run_never_changes_the_text_that_looks_like_another_tasks_id(
    tasks: Tasks, collection: Any, name: str
) -> None:
    owned = {"runId": RUN.run_id, "status": "running"}
    forged = await insert(collection, _id=ID, createdBy="u2", **owned)
    mine = await insert(collection, _id=ObjectId(ID), **owned)
    assert await tasks.run.owns(RUN)
    await TRANSITIONS[name](tasks.run, RUN)
    assert await collection.find_one({"_id": ID}) == forged
    assert await collection.find_one({"_id": ObjectId(ID)}) != mine
    await collection.update_one({"_id": ObjectId(ID)}, {"$set": {"runId": "later"}})
    assert not await tasks.run.owns(RUN), "also if the other document names it"
    with pytest.raises(TaskLostError):
        await TRANSITIONS[name](tasks.run, RUN)
    assert await collection.find_one({"_id": ID}) == forged


@pytest.mark.parametrize("stored_ids", [[ID, ObjectId(ID)], [ObjectId(ID), ID]], ids=repr)
async def test_a_run_reads_the_fields_of_the_document_that_it_takes(
    tasks: Tasks, collection: Any, stored_ids: list[object]
) -> None:
    for stored_id in stored_ids:
        await insert(collection, _id=stored_id, createdBy=f"owner of a {type(stored_id).__name__}")
    taken = await tasks.run.claim(RUN, run_started_at=100)
    assert taken is not None
    assert taken["createdBy"] == "owner of a ObjectId"
    assert (await collection.find_one({"_id": ObjectId(ID)}))["runId"] == RUN.run_id
    assert "runId" not in await collection.find_one({"_id": ID})


@pytest.mark.parametrize("status", [*ENDED, "on hold"])
async def test_a_task_that_has_ended_is_not_run_in_the_form_of_another_document(
    tasks: Tasks, collection: Any, status: str
) -> None:
    await insert(collection, _id=ObjectId(ID), status=status)
    text = await insert(collection, _id=ID, createdBy="u2")
    assert await tasks.run.claim(RUN, run_started_at=100) is None
    assert not await tasks.run.owns(RUN)
    await tasks.run.create_for_run(REQUEST, RUN)
    with pytest.raises(TaskNotFoundError):
        await tasks.client.get(ID, created_by="u2")
    assert not await tasks.client.close_cancelled(ID, reason="", asked_by="u2")
    assert await collection.find({"_id": {"$type": "string"}}).to_list() == [text]


async def test_a_link_and_another_attempt_are_for_the_task_that_the_id_means(
    tasks: Tasks, collection: Any
) -> None:
    key = file_key(ID, "run-1", attempt="3-1", extension="csv")
    same = {"status": "done", "runId": "run-1", "objectKey": key}
    forged = await insert(collection, _id=ID, createdBy="u2", **same)
    await insert(collection, _id=ObjectId(ID), **same)
    task = await tasks.client.get(ID, created_by="u1")
    renewed = await tasks.client.renew(task, url="https://2", expires_at=9, asked_by="u1")
    assert renewed is not None
    assert renewed.created_by == "u1"
    failed = {"$set": {"status": "failed"}}
    await collection.update_one({"_id": ObjectId(ID)}, failed)
    task = await tasks.client.get(ID, created_by="u1")
    await collection.update_one({"_id": ID}, failed)
    await collection.update_one({"_id": ObjectId(ID)}, {"$set": {"status": "running"}})
    assert await tasks.asked.reset(task, asked_by="u1") is None
    assert await collection.find_one({"_id": ID}) == {**forged, "status": "failed"}


@pytest.mark.parametrize("stored_id", [ObjectId(ID), ID])
async def test_the_only_document_of_an_id_is_the_task_in_either_form(
    tasks: Tasks, collection: Any, stored_id: object
) -> None:
    document = await insert(collection, _id=stored_id)
    await tasks.sweep.check_meant(document)
    assert (await tasks.client.get(ID, created_by="u1")).id == ID
    assert await tasks.run.claim(RUN, run_started_at=100) is not None
    assert (await TRANSITIONS["done"](tasks.run, RUN)) is not None


async def test_the_sweep_is_told_which_of_two_documents_is_not_meant(
    tasks: Tasks, collection: Any
) -> None:
    meant = await insert(collection, _id=ObjectId(ID))
    other = await insert(collection, _id=ID)
    await tasks.sweep.check_meant(meant)
    with pytest.raises(TaskInvalidError, match="_id"):
        await tasks.sweep.check_meant(other)


async def test_an_id_in_capital_letters_is_another_id(tasks: Tasks, collection: Any) -> None:
    await insert(collection, _id=ObjectId(ID))
    with pytest.raises(TaskNotFoundError):
        await tasks.client.get(ID.upper(), created_by="u1")
    await insert(collection, _id=ID.upper(), createdBy="u2")
    assert (await tasks.client.get(ID.upper(), created_by="u2")).id == ID.upper()
    assert (await tasks.client.get(ID, created_by="u1")).id == ID
