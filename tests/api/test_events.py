"""Following exports over HTTP."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

import httpx2
import pytest

from exports.api import events, streams
from exports.models import AttemptBeat, Stage, TaskRef
from exports.settings import Settings
from exports.tasks import feed as tasks_feed
from exports.tasks.transitions import RunTransitions
from tests.support import leaks
from tests.support.api import OPERATOR, OWNER, STRANGER, Api, open_api
from tests.support.command_line import CommandLine, environment_of
from tests.support.events import Events, following
from tests.support.service import Service
from tests.support.stored_tasks import insert_task
from tests.support.task_steps import FILE, WHY


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks_feed, "_POLL", 0.05)


@pytest.fixture
async def api(idle_service: Service) -> AsyncIterator[Api]:
    async with open_api(idle_service) as api:
        yield api


def follow(
    api: Api, path: str, who: str = OWNER, last: str | None = None
) -> AbstractAsyncContextManager[Events]:
    return following(api.http, path, api.bearer(who), last)


async def claimed(service: Service, **changes: Any) -> TaskRef:
    task_id = await insert_task(service, **changes)
    ref = TaskRef(task_id=task_id, workflow_id=f"export-{task_id}", run_id="r")
    await RunTransitions(service.collection).claim(ref, run_started_at=1)
    return ref


async def proceed(service: Service, ref: TaskRef, rows: int) -> None:
    beat = AttemptBeat(stage=Stage.UPLOAD, rows=rows, bytes=10 * rows, total=40)
    await RunTransitions(service.collection).progress(ref, beat)


async def finish(service: Service, ref: TaskRef) -> None:
    run = RunTransitions(service.collection)
    await run.done(ref, FILE, url="https://1", expires_at=1, purge_at=2)


async def test_an_export_is_followed_from_what_it_is_to_its_end(
    api: Api, idle_service: Service
) -> None:
    ref = await claimed(idle_service)
    path = f"/exports/{ref.task_id}/events"
    async with follow(api, path) as stream:
        assert stream.answer.status_code == 200
        headers = stream.answer.headers
        assert headers["content-type"].startswith("text/event-stream")
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
        await stream.next("retry")
        first = await stream.next()
        assert (first.name, first.data["status"], first.data["stage"]) == (
            "progress",
            "running",
            "aggregate",
        )
        await proceed(idle_service, ref, 7)
        later = await stream.next()
        assert later.data["updatedAt"] >= first.data["updatedAt"]
        news = {"stage": "upload", "rows": 7, "bytes": 70, "total": 40}
        assert later.data == first.data | news | {"updatedAt": later.data["updatedAt"]}
        run = RunTransitions(idle_service.collection)
        await run.attempt_failed(ref, WHY, retries=1, next_run_at=5000)
        waiting = await stream.next()
        assert (waiting.name, waiting.data["status"]) == ("progress", "pending")
        assert (waiting.data["error"], waiting.data["nextRunAt"]) == (WHY.model_dump(), 5000)
        await finish(idle_service, ref)
        [end] = await stream.rest()
    assert (end.name, end.data["status"], end.data["error"]) == ("end", "done", None)
    assert (end.data["rows"], end.data["total"], end.data["bytes"]) == (3, 3, 30)
    again = await api.ask("GET", path, headers={"Last-Event-ID": end.id})
    assert (again.status_code, again.content) == (204, b""), "a browser connects no more"
    for last in (None, waiting.id):
        async with follow(api, path, last=last) as stream:
            assert await stream.rest() == [end]


async def test_a_stream_goes_on_where_it_was_cut(api: Api, idle_service: Service) -> None:
    ref = await claimed(idle_service)
    path = f"/exports/{ref.task_id}/events"
    async with follow(api, path) as stream:
        last = (await stream.next()).id
    async with follow(api, path, last=last) as stream:
        await stream.next("retry")
        await proceed(idle_service, ref, 7)
        seven = await stream.next()
        assert seven.data["rows"] == 7
    await proceed(idle_service, ref, 8)
    async with follow(api, path, last=seven.id) as stream:
        assert (await stream.next()).data["rows"] == 8


async def test_a_person_follows_all_their_exports_and_nobody_elses(
    api: Api, idle_service: Service
) -> None:
    old, theirs = await claimed(idle_service), await claimed(idle_service, createdBy=STRANGER)
    async with (
        follow(api, "/exports/events") as mine,
        follow(api, "/exports/events", OPERATOR) as everybodys,
        follow(api, f"/exports/events?created_by={STRANGER}", OPERATOR) as named,
    ):
        assert (await mine.next()).data["id"] == old.task_id
        assert {(await everybodys.next()).data["id"] for _ in range(2)} == {
            old.task_id,
            theirs.task_id,
        }
        assert (await named.next()).data["createdBy"] == STRANGER
        await proceed(idle_service, theirs, 7)
        new = await claimed(idle_service)
        seen = await mine.next()
        while seen.data["id"] != new.task_id or seen.data["status"] == "pending":
            assert seen.data["id"] == new.task_id
            seen = await mine.next()
        assert (await everybodys.next()).data["rows"] == 7
        assert (await named.next()).data["rows"] == 7
        await finish(idle_service, new)
        end = await mine.next()
        assert (end.name, end.data["id"]) == ("end", new.task_id)
    async with follow(api, "/exports/events", last=end.id) as mine:
        await mine.next("retry")
        await proceed(idle_service, old, 9)
        news = await mine.next()
        assert (news.data["id"], news.data["rows"]) == (old.task_id, 9)
    await finish(idle_service, old)
    async with follow(api, "/exports/events", last=news.id) as mine:
        while (event := await mine.next()).data["id"] != old.task_id:
            pass
        assert event.name == "end"


async def test_a_last_event_id_that_is_rubbish_is_refused_in_words(
    api: Api, idle_service: Service
) -> None:
    await insert_task(idle_service, _id="mine")
    for path in ("/exports/events", "/exports/mine/events", "/exports/none/events"):
        for last in (b"", b"0", b"\xff\xfe", b"1" * 400, b"'; drop", b"9" * 15 + b"-aa"):
            answer = await api.ask("GET", path, headers={"Last-Event-ID": last})
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, "E_REQUEST"), last
            assert list(answer.json()["error"]["fields"]) == ["Last-Event-ID"]


async def test_what_can_not_be_followed_is_an_error_and_not_an_empty_stream(
    api: Api, idle_service: Service
) -> None:
    ref = await claimed(idle_service)
    path = f"/exports/{ref.task_id}/events"
    hidden, missing = (
        await api.ask("GET", path, STRANGER),
        await api.ask("GET", "/exports/0123456789abcdef01234567/events", STRANGER),
    )
    assert hidden.status_code == missing.status_code == 404
    assert hidden.content == missing.content
    for asked in (path, "/exports/events"):
        assert (await api.ask("GET", asked, None)).status_code == 401
    others = await api.ask("GET", f"/exports/events?created_by={OPERATOR}")
    assert (others.status_code, others.json()["error"]["code"]) == (403, "E_OPERATOR")


async def test_who_follows_a_deleted_export_is_told_when_they_connect_again(
    api: Api, idle_service: Service
) -> None:
    ref = await claimed(idle_service)
    path = f"/exports/{ref.task_id}/events"
    async with follow(api, path) as stream:
        last = (await stream.next()).id
        await proceed(idle_service, ref, 1)
        await stream.next()
        await idle_service.database["ExportTasks"].delete_many({})
        assert await stream.rest() == []
    assert (await api.ask("GET", path, headers={"Last-Event-ID": last})).status_code == 404


async def test_a_quiet_stream_has_comments_so_that_no_proxy_closes_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "COMMENT_EVERY", 0.02)
    async with follow(api, "/exports/events") as stream:
        for _ in range(2):
            await stream.next("comment")


async def test_one_person_and_one_process_have_only_so_many_streams_open(
    idle_service: Service,
) -> None:
    async with open_api(idle_service, api_streams=2, api_max_streams=3) as api:
        opened: list[Events] = []
        async with AsyncExitStack() as leaving:
            for who in (OWNER, OWNER, STRANGER):
                stream = await leaving.enter_async_context(follow(api, "/exports/events", who))
                await stream.next("retry")
                opened.append(stream)
            for who in (OWNER, OPERATOR):
                refused = await api.ask("GET", "/exports/events", who)
                assert (refused.status_code, refused.json()["error"]["code"]) == (429, "E_RATE")
                assert int(refused.headers["retry-after"]) > 0
        for who in (OWNER, OPERATOR):
            while await _status(api, who) == 429:  # the server hears of it a moment later
                await asyncio.sleep(0.01)
            assert await _status(api, who) == 200


async def _status(api: Api, who: str) -> int:
    async with follow(api, "/exports/events", who) as stream:
        return stream.answer.status_code


async def test_a_stream_ends_soon_after_its_token(
    api: Api, idle_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "CHECK_EVERY", 0.05)
    async with AsyncExitStack() as leaving:
        followed: list[Events] = []
        tokens = [await api.tokens.create(OWNER) for _ in range(3)]
        for text, token in tokens:
            session, _ = await api.tokens.open_session(
                OWNER, operator=False, ends=None, parent=token.id
            )
            for headers in (
                {"Authorization": f"Bearer {text}"},
                {"Cookie": f"exports_session={session}"},
            ):
                opening = following(api.http, "/exports/events", headers)
                followed.append(await leaving.enter_async_context(opening))
        for stream in followed:
            await stream.next("retry")
        await api.tokens.revoke(tokens[-1][1].id)
        for stream in followed[-2:]:
            assert await stream.rest() == []
        ref = await claimed(idle_service)
        for stream in followed[:-2]:
            assert (await stream.next()).data["id"] == ref.task_id


async def test_a_server_that_stops_ends_its_streams_properly_and_in_time(
    idle_service: Service, settings: Settings, temporal_address: str, api: Api
) -> None:
    ref = await claimed(idle_service)
    environment = environment_of(settings, temporal_address)
    process = await CommandLine(environment).start(
        "api", EXPORTS_API_LISTEN="127.0.0.1:0", EXPORTS_SHUTDOWN_GRACE="20"
    )
    assert process.stderr is not None
    async with AsyncExitStack() as leaving:
        leaving.callback(_kill, process)
        url = ""
        while not url:
            line = (await process.stderr.readline()).decode()
            assert line, "it has ended"
            url = line.rpartition("listens on ")[2].strip() if "listens on" in line else ""
        http = await leaving.enter_async_context(httpx2.AsyncClient(base_url=url, timeout=60))
        followed = [
            await leaving.enter_async_context(following(http, path, api.bearer(), None))
            for path in ("/exports/events", f"/exports/{ref.task_id}/events") * 10
        ]
        for stream in followed:
            await stream.next()
        process.send_signal(signal.SIGTERM)
        assert [await stream.rest() for stream in followed] == [[]] * 20
        _, log = await asyncio.wait_for(process.communicate(), 60)
    leaks.keep("api", log.decode())
    assert process.returncode == 128 + signal.SIGTERM, log.decode()
    assert "Traceback" not in log.decode()


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
