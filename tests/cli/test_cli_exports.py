"""The command line against real servers, as people and scripts use it."""

import asyncio
import hashlib
import os
import signal
from asyncio.subprocess import Process
from datetime import timedelta
from pathlib import Path

import pytest

from exports.client import ExportClient
from exports.models import TaskStatus
from exports.settings import Settings
from exports.tasks.task import ExportTask
from tests.support.command_line import CommandLine, ended, environment_of
from tests.support.service import MONTH, Service, insert_orders
from tests.support.stored_tasks import insert_task

ASK = ["create", "statsMonthly", "-p", "year=2026", "-p", "month=10", "--created-by", "u1"]


@pytest.fixture
def exports(settings: Settings, temporal_address: str) -> CommandLine:
    return CommandLine(environment_of(settings, temporal_address))


def files_in(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def only_task(client: ExportClient) -> ExportTask:
    """Wait until somebody has created a task, and return it."""
    async with asyncio.timeout(150):
        while not (found := await client.list(created_by=None)):
            await asyncio.sleep(0.05)
    [task] = found
    return task


async def test_a_person_gets_a_file_with_one_command(
    service: Service, exports: CommandLine, tmp_path: Path
) -> None:
    await insert_orders(service.database)
    done = await exports.run(*ASK, "--format", "xlsx", "--wait", "--output", str(tmp_path))
    assert done.code == 0
    [file] = files_in(tmp_path)
    assert file.name == "statsMonthly-2026-10.xlsx"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert digest in done.out
    assert "done" in done.out
    assert "3 rows" in done.out
    assert f"Saved to {file}" in done.err
    assert "statsMonthly xlsx: done, 3 rows" in done.err
    assert not {"\x1b", "\r"} & set(done.out + done.err)
    [link] = [line for line in done.out.splitlines() if line.startswith("http")]
    assert link == (await only_task(service.client)).download_url


async def test_a_script_gets_one_json_value_and_the_progress_on_standard_error(
    service: Service, exports: CommandLine
) -> None:
    await insert_orders(service.database)
    done = await exports.run(*ASK, "--wait", "--json")
    task = await only_task(service.client)
    expected = {**task.model_dump(mode="json", by_alias=True), "joined": False}
    assert (done.code, done.json) == (0, expected)
    assert (done.json["status"], done.json["rows"], done.json["format"]) == ("done", 3, "csv")
    assert task.id in done.err


async def test_an_export_that_fails_exits_with_1_and_says_why(
    service: Service, exports: CommandLine
) -> None:
    failed = await exports.run(*ASK, "--wait")  # there is no collection to read
    assert failed.code == 1
    assert "failed" in failed.out
    assert "E_COLLECTION: " in failed.out
    task = await only_task(service.client)
    again = await exports.run("retry", task.id, "--json")
    assert (again.code, again.json["id"]) == (0, task.id)
    assert again.json["status"] == "pending"
    await service.ended(task.id)
    shown = await exports.run("show", task.id, "--json")
    assert (shown.code, shown.json["status"]) == (0, "failed")


async def test_an_export_that_is_cancelled_while_waiting_exits_with_1(
    idle_service: Service, exports: CommandLine, tmp_path: Path
) -> None:
    waiting = await exports.start(*ASK, "--output", str(tmp_path), "--json")
    task = await only_task(idle_service.client)
    await stop_run(idle_service, task)
    shown = await exports.run("cancel", task.id, "--reason", "not needed", "--created-by", "u1")
    assert shown.code == 0
    assert "cancelled" in shown.out
    assert "not needed" in shown.out
    end = await ended(waiting)
    assert (end.code, end.json["status"]) == (1, "cancelled")
    assert files_in(tmp_path) == []


async def stop_run(service: Service, task: ExportTask) -> None:
    """Terminate the run: without a worker it could not clean up, and the test would wait."""
    async with asyncio.timeout(150):
        while not [
            run async for run in service.temporal.list_workflows(f"WorkflowId='export-{task.id}'")
        ]:
            await asyncio.sleep(0.05)
    await service.run_of(task.id).terminate()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_person_who_stops_waiting_reads_that_the_export_continues(
    idle_service: Service, exports: CommandLine, signum: signal.Signals, code: int
) -> None:
    waiting = await exports.start(*ASK, "--wait")
    task = await only_task(idle_service.client)
    await line_with("queued", waiting)
    waiting.send_signal(signum)
    end = await ended(waiting)
    assert end.code == code
    assert f"The export continues. For its status: exports show {task.id}" in end.err
    assert (await idle_service.client.get(task.id, created_by="u1")).status is TaskStatus.PENDING


async def line_with(text: str, process: Process) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(150):
        while text not in (await process.stderr.readline()).decode():
            pass


async def test_a_user_sees_only_their_own_exports_and_an_operator_sees_all(
    idle_service: Service, exports: CommandLine
) -> None:
    mine = await idle_service.create(created_by="u1")
    theirs = await idle_service.create(created_by="u2")
    for command in ("show", "cancel", "renew", "retry"):
        refused = await exports.run(command, theirs.id, "--created-by", "u1", "--json")
        assert refused.code == 2
        assert refused.json == {
            "ok": False,
            "error": {"code": "E_NOT_FOUND", "msg": "There is no such task."},
        }
    listed = await exports.run("list", "--created-by", "u1", "--json")
    assert [task["id"] for task in listed.json] == [mine.id]
    everything = await exports.run("list", "--status", "pending", "--limit", "2")
    assert [line.split()[0] for line in everything.out.splitlines()] == ["id", theirs.id, mine.id]
    assert f"--after {mine.id}" in everything.err


async def test_who_asks_again_is_told_of_the_export_that_there_is(
    settings: Settings, temporal_address: str
) -> None:
    joining = settings.model_copy(update={"join_within": timedelta(minutes=10)})
    exports = CommandLine(environment_of(joining, temporal_address))
    first, again = [await exports.run(*ASK, "--json") for _ in range(2)]
    assert (first.json["joined"], again.json["joined"]) == (False, True)
    assert again.json["id"] == first.json["id"]
    assert f"Export {first.json['id']} is the same" in again.err
    estimate = await exports.run(*ASK, "--dry-run")
    assert f"is the same as  {first.json['id']}" in estimate.out
    forced = await exports.run(*ASK, "--force", "--json")
    assert (forced.json["joined"], "is the same" in forced.err) == (False, False)
    wanted = ["--type", "statsMonthly", "--format", "csv", "--since", "2026-01-01"]
    page = await exports.run("list", *wanted, "--limit", "1", "--json")
    assert [task["id"] for task in page.json] == [forced.json["id"]]
    assert f"--after {forced.json['id']}" in page.err
    page = await exports.run("list", *wanted, "--after", forced.json["id"], "--json")
    assert [task["id"] for task in page.json] == [first.json["id"]]
    page = await exports.run("list", "--until", "2026-01-01", "--json")
    assert page.json == []


async def test_audit_lists_what_happened_to_an_export(
    service: Service, exports: CommandLine
) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    await exports.run("renew", task.id, "--created-by", "u1")
    shown = await exports.run("audit", task.id, "--created-by", "u1")
    assert shown.code == 0
    heading, *lines = shown.out.splitlines()
    assert heading.split() == ["time", "event", "role", "user", "from", "details"]
    assert [line.split()[3:5] for line in lines] == [
        ["created", "user"],
        ["started", "worker"],
        ["signed", "worker"],
        ["done", "worker"],
        ["renewed", "user"],
    ]
    assert lines[-1].split()[5:9] == ["u1", "cli", "link", "valid"]
    as_json = await exports.run("audit", task.id, "--json")
    assert [entry["did"] for entry in as_json.json] == [line.split()[3] for line in lines]
    assert as_json.json[-1]["origin"] == "cli"


async def test_a_finished_export_can_be_renewed_and_neither_cancelled_nor_retried(
    service: Service, exports: CommandLine
) -> None:
    await insert_orders(service.database)
    task = await service.exported()
    renewed = await exports.run("renew", task.id)
    assert renewed.code == 0
    fresh = await service.client.get(task.id, created_by="u1")
    assert fresh.download_url in renewed.out.splitlines()
    for command in ("cancel", "retry"):
        refused = await exports.run(command, task.id)
        assert refused.code == 2
        assert refused.out == ""
        assert refused.err.startswith("E_STATE: ")
    deleted = await exports.run("delete", task.id, "--json")
    assert (deleted.code, deleted.json["status"]) == (0, "expired")
    failed = await insert_task(service, status="failed", error={"code": "E_STORE", "msg": ""})
    every = ["retry", "--all", "--code", "E_STORE", "--type", "statsMonthly"]
    counted = await exports.run(*every, "--dry-run")
    assert counted.out == "1 failed exports would be retried\n"
    again = await exports.run(*every, "--json")
    assert (again.code, again.json) == (0, {"found": 1, "retried": 1, "refused": {}})
    assert (await service.ended(failed)).status is TaskStatus.DONE


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["create", "payroll"], "E_TYPE"),
        (["create", "statsMonthly", "-p", "year=2026", "-p", "month=13"], "E_PARAMS"),
        (["create", "statsMonthly", "-p", 'year={"$gt": 0}', "-p", "month=1"], "E_PARAMS"),
        (["create", "statsAnnual", "-p", "year=2026", "--format", "pdf"], "E_FORMAT"),
        (["create", "statsAnnual", "-p", "year=2026", "--created-by", ""], "E_REQUEST"),
        (["schedule", "show"], "E_SCHEDULE"),
    ],
)
async def test_what_the_service_refuses_exits_with_2(
    idle_service: Service, exports: CommandLine, arguments: list[str], code: str
) -> None:
    refused = await exports.run(*arguments, "--json")
    assert (refused.code, refused.json["error"]["code"]) == (2, code)
    assert await idle_service.client.list(created_by=None) == []


@pytest.mark.parametrize(
    ("name", "variable", "address"),
    [
        ("Temporal", "TEMPORAL_ADDRESS", "127.0.0.1:1"),
        ("MongoDB", "EXPORTS_MONGO_URI", "mongodb://127.0.0.1:1"),
        ("The object store", "EXPORTS_S3_ENDPOINT_URL", "http://127.0.0.1:1"),
    ],
)
async def test_an_unreachable_server_exits_with_3_and_is_named_with_its_address(
    exports: CommandLine, name: str, variable: str, address: str
) -> None:
    away = await exports.run("list", "--json", **{variable: address})
    assert (away.code, away.json["error"]["code"]) == (3, "E_UNREACHABLE")
    assert away.json["error"]["msg"].startswith(f"{name} can't be reached at ")
    assert "127.0.0.1:1" in away.json["error"]["msg"]


async def test_an_operator_sweeps_by_hand(service: Service, exports: CommandLine) -> None:
    await insert_orders(service.database)
    task_id = f"by-hand-{service.settings.task_queue}"  # all tests share one Temporal
    stored = {"_id": task_id, "type": "statsMonthly", "params": MONTH, "status": "pending"}
    await service.database["ExportTasks"].insert_one({**stored, "createdBy": "u7"})
    swept = await exports.run("sweep", "--json")
    assert swept.json == {"started": 1, "healed": 0, "purged": 0, "handled": 1}
    assert (await service.ended(task_id)).status is TaskStatus.DONE
    again = await exports.run("sweep")
    assert again.out == "started 0, healed 0, purged 0; 0 tasks in total\n"


async def test_an_operator_manages_the_schedule(service: Service, exports: CommandLine) -> None:
    try:
        applied = await exports.run("schedule", "apply", "--json")
        assert applied.json["everySeconds"] == 300
        assert applied.json["paused"] is False
        assert (await exports.run("schedule", "pause", "--json")).json["paused"] is True
        assert (await exports.run("schedule", "apply", "--json")).json["paused"] is True
        assert "paused" in (await exports.run("schedule", "show")).out
        assert (await exports.run("schedule", "resume", "--json")).json["paused"] is False
        assert (await exports.run("schedule", "trigger")).code == 0
        async with asyncio.timeout(150):
            while not (await exports.run("schedule", "show", "--json")).json["lastRuns"]:
                await asyncio.sleep(0.2)
    finally:
        await service.temporal.get_schedule_handle(f"{service.settings.task_queue}-sweep").delete()


async def test_stored_texts_cannot_control_the_terminal_or_break_a_table(
    idle_service: Service, exports: CommandLine
) -> None:
    await idle_service.database["ExportTasks"].insert_one(
        {
            "_id": "\x1b[2Jevil",
            "type": "a\nb\x1b[31m",
            "status": "failed",
            "createdBy": "\x9b31m",
            "createdAt": 10**18,
            "error": {"code": "E_X", "msg": "\x07\u202e"},
        }
    )
    listed = await exports.run("list")
    assert len(listed.out.splitlines()) == 2
    shown = await exports.run("show", "\x1b[2Jevil")
    assert (listed.code, shown.code) == (0, 0)
    for character in (listed.out + shown.out).replace("\n", ""):
        assert character.isprintable()
    as_json = await exports.run("list", "--json")
    assert as_json.out.removesuffix("\n").isprintable()
    assert as_json.json[0]["id"] == "\x1b[2Jevil"


async def test_a_closed_pipe_causes_no_error_message(
    idle_service: Service, exports: CommandLine
) -> None:
    await idle_service.create()
    reading, writing = os.pipe()
    os.close(reading)
    process = await exports.start("list", stdout=writing)
    os.close(writing)
    assert process.stderr is not None
    said = (await process.stderr.read()).decode()
    assert (await process.wait(), said) == (141, "")


async def test_exports_worker_takes_work_until_it_is_told_to_stop(
    idle_service: Service, exports: CommandLine
) -> None:
    await insert_orders(idle_service.database)
    worker = await exports.start("worker", "--json")
    task = await idle_service.exported()
    worker.send_signal(signal.SIGTERM)
    end = await ended(worker)
    assert task.status is TaskStatus.DONE
    assert (end.code, end.json) == (0, {"ok": True})
    assert "Worker is ready" in end.err
