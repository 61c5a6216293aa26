"""Only the run that owns a task changes it, and no run changes a task that has ended."""

import asyncio
import itertools
from typing import Any

import pytest

from exports.errors import TaskLostError
from exports.models import AttemptBeat, Stage, TaskRef, TaskStatus
from exports.tasks.task import ExportTask
from tests.support.protections import protected_by
from tests.support.task_steps import (
    ENDED,
    FILE,
    LATER,
    ME,
    NOBODY,
    TRANSITIONS,
    WHY,
    Tasks,
    claimed,
    done,
    insert,
)

every_transition = pytest.mark.parametrize("name", TRANSITIONS)


@every_transition
@pytest.mark.parametrize("status", ENDED)
async def test_a_task_that_has_ended_stays_as_it_is(
    tasks: Tasks, collection: Any, name: str, status: TaskStatus
) -> None:
    file = {"objectKey": "files/another"} if status is TaskStatus.DONE else {}
    document = await insert(collection, status=status.value, runId=ME.run_id, **file)
    if name == status.value and name != "done":
        # The same run repeats its write, because the answer to the first one was lost.
        await TRANSITIONS[name](tasks.run, ME)
    else:
        with pytest.raises(TaskLostError):
            await TRANSITIONS[name](tasks.run, ME)
    assert await collection.find_one({}) == document


@every_transition
async def test_a_client_sees_when_a_task_was_changed_last(
    tasks: Tasks, collection: Any, name: str
) -> None:
    await claimed(tasks, collection)
    await collection.update_one({}, {"$set": {"updatedAt": 0}})
    await TRANSITIONS[name](tasks.run, ME)
    assert (await collection.find_one({}))["updatedAt"] > 0


@every_transition
@protected_by(
    "exports/tasks/transitions.py",
    '{"runId": ref.run_id, "status"',
    instead='{"status"',
)
async def test_only_the_run_that_owns_a_task_moves_it(
    tasks: Tasks, collection: Any, name: str
) -> None:
    before = await claimed(tasks, collection)
    for stranger in (LATER, NOBODY):
        with pytest.raises(TaskLostError) as lost:
            await TRANSITIONS[name](tasks.run, stranger)
        assert lost.value.permanent
    assert await collection.find_one({}) == before
    await TRANSITIONS[name](tasks.run, ME)
    assert await collection.find_one({}) != before


async def test_a_later_claim_says_anew_how_far_the_data_goes(tasks: Tasks, collection: Any) -> None:
    await claimed(tasks, collection)
    await tasks.run.planned(ME, data_until=2000)
    await tasks.run.planned(ME, data_until=1000)  # by an attempt that was replaced
    assert (await tasks.client.get("t1", created_by="u1")).data_until == 2000
    await tasks.run.claim(LATER, run_started_at=2000)  # whose period is over
    assert (await tasks.client.get("t1", created_by="u1")).data_until is None


@every_transition
async def test_nobody_moves_a_task_that_no_run_has_taken_up(
    tasks: Tasks, collection: Any, name: str
) -> None:
    before = await insert(collection)
    with pytest.raises(TaskLostError):
        await TRANSITIONS[name](tasks.run, ME)
    assert await collection.find_one({}) == before


async def test_a_run_takes_a_task_up_twice(tasks: Tasks, collection: Any) -> None:
    first = await claimed(tasks, collection)
    assert (first["status"], first["runId"], first["workflowId"]) == (
        "running",
        "run-1",
        "export-t1",
    )
    again = await tasks.run.claim(ME, run_started_at=100)
    assert again is not None
    assert again["startedAt"] == first["startedAt"]


async def test_a_later_run_replaces_an_earlier_one_and_never_the_other_way_round(
    tasks: Tasks, collection: Any
) -> None:
    await claimed(tasks, collection)
    assert await tasks.run.claim(LATER, run_started_at=99) is None
    assert await tasks.run.claim(LATER, run_started_at=100) is None
    taken = await tasks.run.claim(LATER, run_started_at=101)
    assert taken is not None
    assert taken["runId"] == "run-2"
    assert await tasks.run.claim(ME, run_started_at=100) is None
    with pytest.raises(TaskLostError):
        await done(tasks.run, ME)


async def test_of_runs_that_start_at_the_same_time_one_takes_the_task(
    tasks: Tasks, collection: Any
) -> None:
    await insert(collection)
    runs = [ME.model_copy(update={"run_id": f"run-{number}"}) for number in range(10)]
    found = await asyncio.gather(*(tasks.run.claim(run, run_started_at=100) for run in runs))
    [owner] = [document for document in found if document is not None]
    assert (await collection.find_one({}))["runId"] == owner["runId"]


async def test_a_task_belongs_to_one_workflow(tasks: Tasks, collection: Any) -> None:
    await claimed(tasks, collection)
    other = TaskRef(task_id="t1", workflow_id="somebody-elses", run_id="run-9")
    assert await tasks.run.claim(other, run_started_at=10**12) is None


@pytest.mark.parametrize("status", ENDED)
async def test_a_task_that_has_ended_is_not_taken_up(
    tasks: Tasks, collection: Any, status: TaskStatus
) -> None:
    await insert(collection, status=status.value)
    assert await tasks.run.claim(ME, run_started_at=100) is None


async def test_taking_a_task_over_keeps_its_start_and_its_failed_attempts(
    tasks: Tasks, collection: Any
) -> None:
    first = await claimed(tasks, collection)
    await tasks.run.attempt_failed(ME, WHY, retries=2, next_run_at=5000)
    taken = await tasks.run.claim(LATER, run_started_at=200)
    assert taken is not None
    assert (taken["retries"], taken["startedAt"]) == (2, first["startedAt"])
    assert "nextRunAt" not in taken


async def test_sweeps_count_their_starts_of_a_task_until_a_run_takes_it(
    tasks: Tasks, collection: Any
) -> None:
    seen = await insert(collection)
    for starts in (1, 2, 2):
        await tasks.sweep.count_start(seen, starts)
        assert (await collection.find_one({}))["sweepStarts"] == starts
    await tasks.run.claim(ME, run_started_at=100)
    await tasks.sweep.count_start(seen, 3)
    assert "sweepStarts" not in await collection.find_one({}), "a run has taken it before"


async def test_null_in_a_foreign_document_is_the_same_as_a_missing_field(
    tasks: Tasks, collection: Any
) -> None:
    names = ("retries", "nextRunAt", "workflowId", "runId", "runStartedAt", "progress")
    await insert(collection, **dict.fromkeys(names))
    taken = await tasks.run.claim(ME, run_started_at=100)
    assert taken is not None
    assert taken["retries"] == 0
    await tasks.run.attempt_started(ME, AttemptBeat(stage=Stage.UPLOAD, rows=5))
    assert ExportTask.from_document(await collection.find_one({})).progress.rows == 5


async def test_done_twice_keeps_the_first_link(tasks: Tasks, collection: Any) -> None:
    await claimed(tasks, collection)
    first = await done(tasks.run, ME, "https://1")
    ended = await tasks.client.get("t1", created_by="u1")
    again = await done(tasks.run, ME, "https://2")
    assert again.result == first.result == ended.result()
    assert await tasks.client.get("t1", created_by="u1") == ended
    assert (ended.status, ended.download_url, ended.rows) == (TaskStatus.DONE, "https://1", 3)
    assert ended.warnings == FILE.warnings
    assert ended.finished_at is not None


async def test_done_may_be_repeated_after_the_file_has_expired(
    tasks: Tasks, collection: Any
) -> None:
    await claimed(tasks, collection)
    first = await done(tasks.run, ME)
    assert await tasks.sweep.expire({"_id": "t1"})
    expired = await collection.find_one({})
    assert await done(tasks.run, ME, "https://2") == first
    assert await collection.find_one({}) == expired


async def test_done_can_not_be_repeated_with_another_file(tasks: Tasks, collection: Any) -> None:
    await claimed(tasks, collection)
    await done(tasks.run, ME)
    other = FILE.model_copy(update={"key": "files/t1/run-1/b/export.csv"})
    with pytest.raises(TaskLostError):
        await tasks.run.done(ME, other, url="https://2", expires_at=1, purge_at=2)


@pytest.mark.parametrize(
    ("first", "second"), list(itertools.permutations(["done", "failed", "cancelled"], 2))
)
async def test_the_first_end_counts(tasks: Tasks, collection: Any, first: str, second: str) -> None:
    await claimed(tasks, collection)
    await TRANSITIONS[first](tasks.run, ME)
    ended = await collection.find_one({})
    with pytest.raises(TaskLostError):
        await TRANSITIONS[second](tasks.run, ME)
    assert await collection.find_one({}) == ended


async def test_a_failed_attempt_counts_once_however_often_it_is_written(
    tasks: Tasks, collection: Any
) -> None:
    await claimed(tasks, collection)
    for _ in range(2):
        await tasks.run.attempt_failed(ME, WHY, retries=1, next_run_at=5000)
    waiting = await collection.find_one({})
    assert (waiting["status"], waiting["retries"], waiting["nextRunAt"]) == ("pending", 1, 5000)
    assert waiting["error"] == {"code": "E_STORE", "msg": "The object store is away."}
    await tasks.run.attempt_failed(ME, WHY, retries=2, next_run_at=None)
    await tasks.run.attempt_failed(ME, WHY, retries=1, next_run_at=None)
    assert (await collection.find_one({}))["retries"] == 2, "a counted attempt stays counted"
    await tasks.run.attempt_failed(ME, WHY, retries=99, next_run_at=None)
    assert (await collection.find_one({}))["retries"] == ME.max_retries


@pytest.mark.parametrize("name", ["done", "failed", "cancelled"])
async def test_a_task_that_has_ended_waits_for_no_further_attempt(
    tasks: Tasks, collection: Any, name: str
) -> None:
    await claimed(tasks, collection)
    await tasks.run.attempt_failed(ME, WHY, retries=1, next_run_at=5000)
    await TRANSITIONS[name](tasks.run, ME)
    assert "nextRunAt" not in await collection.find_one({})


async def test_a_run_begins_without_progress(tasks: Tasks, collection: Any) -> None:
    await claimed(tasks, collection)
    progress = (await collection.find_one({}))["progress"]
    assert progress == {"stage": "aggregate", "rows": 0, "bytes": 0}


async def test_progress_says_which_server_is_waited_for_until_it_is_back_or_the_run_ends(
    tasks: Tasks, collection: Any
) -> None:
    await claimed(tasks, collection)
    waiting = AttemptBeat(stage=Stage.UPLOAD, waiting_for="store")

    async def waits_for() -> str | None:
        return ExportTask.from_document(await collection.find_one({})).progress.waiting_for

    for end in (
        lambda: tasks.run.progress(ME, AttemptBeat(stage=Stage.UPLOAD)),
        lambda: tasks.run.attempt_failed(ME, WHY, retries=1, next_run_at=2),
        lambda: tasks.run.attempt_started(ME, AttemptBeat(stage=Stage.UPLOAD)),
        lambda: tasks.run.cancelled(ME, "enough"),
    ):
        await tasks.run.progress(ME, waiting)
        assert await waits_for() == "store"
        await end()
        assert await waits_for() is None


async def test_progress_never_goes_back(tasks: Tasks, collection: Any) -> None:
    await claimed(tasks, collection)
    await tasks.run.progress(ME, AttemptBeat(stage=Stage.AGGREGATE, rows=10, bytes=100))
    await tasks.run.progress(ME, AttemptBeat(stage=Stage.AGGREGATE, rows=4, bytes=40))
    progress = (await collection.find_one({}))["progress"]
    assert progress == {"stage": "aggregate", "rows": 10, "bytes": 100}


@pytest.mark.parametrize("status", TaskStatus)
async def test_only_a_failed_task_is_made_due_again(
    tasks: Tasks, collection: Any, status: TaskStatus
) -> None:
    document = await insert(
        collection, status=status.value, runId="run-1", retries=3, error=WHY.model_dump()
    )
    again = await tasks.asked.reset(ExportTask.from_document(document), asked_by="u1")
    if status is TaskStatus.FAILED:
        assert again is not None
        assert (again.status, again.retries, again.error) == (TaskStatus.PENDING, 0, None)
        assert again.next_run_at is not None
        assert await tasks.asked.reset(ExportTask.from_document(document), asked_by="u1") is None, (
            "it is not failed any more"
        )
    else:
        assert again is None
        assert await collection.find_one({}) == document


async def test_only_a_file_that_still_exists_gets_a_new_link(tasks: Tasks, collection: Any) -> None:
    await claimed(tasks, collection)
    await done(tasks.run, ME)
    task = await tasks.client.get("t1", created_by="u1")
    renewed = await tasks.client.renew(task, url="https://2", expires_at=9, asked_by="u1")
    assert renewed is not None
    assert (renewed.download_url, renewed.expires_at) == ("https://2", 9)
    replaced = task.model_copy(update={"object_key": "files/another"})
    assert await tasks.client.renew(replaced, url="https://3", expires_at=9, asked_by="u1") is None
    assert await tasks.sweep.expire({"_id": "t1"})
    assert await tasks.client.renew(task, url="https://3", expires_at=9, asked_by="u1") is None
    assert "downloadUrl" not in await collection.find_one({})


async def test_only_a_done_task_expires(tasks: Tasks, collection: Any) -> None:
    document = await claimed(tasks, collection)
    assert not await tasks.sweep.expire(document)
    await done(tasks.run, ME)
    assert await tasks.sweep.expire(document)
    assert not await tasks.sweep.expire(document)


async def test_a_task_is_not_closed_under_a_run_that_has_taken_it_up(
    tasks: Tasks, collection: Any
) -> None:
    seen = await insert(collection)
    await tasks.run.claim(ME, run_started_at=100)
    assert not await tasks.sweep.close_failed(seen, WHY)
    seen_later = await collection.find_one({})
    assert await tasks.sweep.close_failed(seen_later, WHY)
    closed = await tasks.client.get("t1", created_by=None)
    assert (closed.status, closed.error) == (TaskStatus.FAILED, WHY)
    assert not await tasks.sweep.close_cancelled(seen_later)
    assert not await tasks.client.close_cancelled("t1", reason="", asked_by="u1")


async def test_a_failed_task_has_the_attempts_that_its_workflow_counted(
    tasks: Tasks, collection: Any
) -> None:
    await claimed(tasks, collection)
    await tasks.run.failed(ME, WHY, retries=2)
    assert (await collection.find_one({}))["retries"] == 2
