"""With a key, Temporal stores nothing readable; with a wrong key, no export is lost."""

import asyncio
import base64
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.schedule.v1 import Schedule
from temporalio.api.workflowservice.v1 import DescribeScheduleRequest
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
)
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer

from exports import names
from exports.encryption.codec import EncryptionCodec
from exports.encryption.keys import EncryptionKeys
from exports.errors import EncryptionKeyError, SettingsError
from exports.models import CancelRequest, ExportRequest, TaskStatus
from exports.settings import Settings
from exports.temporal.converter import data_converter
from exports.temporal.schedule import SweepSchedule
from exports.temporal.start import start_export
from tests.support.held_report import GATE
from tests.support.protections import protected_by
from tests.support.sandbox import strict_runner
from tests.support.service import (
    MONTH,
    USER,
    Service,
    insert_orders,
    open_service,
    working,
    write_reports,
)
from workflows import policies
from workflows.admission import Admission
from workflows.export import ExportWorkflow

_CODEC = "exports/encryption/codec.py"
_WORDS = (b"statsMonthly", b"2026-10", b"staging/", b"wrong-month", b"sha256")


def _key(key_id: str) -> str:
    """Return a key that depends on its id only."""
    return f"{key_id}:{base64.b64encode(key_id.encode().ljust(32, b'k')).decode()}"


A, B, BA = _key("a"), _key("b"), f"{_key('b')},{_key('a')}"


def with_keys(settings: Settings, text: str | None, **also: object) -> Settings:
    key = SecretStr(text) if text else None
    return settings.model_copy(update={"encryption_key": key, **also})


@asynccontextmanager
async def _service(
    settings: Settings, temporal_address: str, text: str | None, **also: object
) -> AsyncGenerator[Service]:
    async with open_service(with_keys(settings, text, **also), temporal_address) as service:
        yield service


async def _events(handle: WorkflowHandle[Any, Any]) -> list[bytes]:
    """Return the events as the server stores them: unencrypted text is readable in them."""
    return [event.SerializeToString() for event in (await handle.fetch_history()).events]


@pytest.fixture
async def held(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings with a report that waits while it is read, on the bulk task queue."""
    monkeypatch.setenv(GATE, str(tmp_path))
    reports = write_reports(tmp_path / "reports.toml")
    with reports.open("a", encoding="utf-8") as file:
        file.write('[reports.held]\npython = "tests.support.held_report:HeldBulkReport"\n')
    return settings.model_copy(update={"reports_file": reports})


def _open(held: Settings) -> None:
    (held.reports_file.parent / "open").touch()


async def _is_held(held: Settings) -> None:
    async with asyncio.timeout(150):
        while not any(held.reports_file.parent.glob("reached-*")):
            await asyncio.sleep(0.02)


@protected_by(_CODEC, "if self._first_id is None:", instead="if True:")
async def test_with_a_key_temporal_stores_no_readable_parameter_object_key_or_summary(
    settings: Settings, temporal_address: str
) -> None:
    async with _service(settings, temporal_address, A) as service, working(service):
        await insert_orders(service.database)
        task = await service.exported()
        run = service.run_of(task.id)
        await run.result()
        assert task.status is TaskStatus.DONE
        said = b"".join(await _events(run))
        start, *rest = await _events(run)
    assert b"binary/encrypted" in said
    assert b"statsMonthly" in start, (
        "only the search attribute, which people filter by, is readable"
    )
    for word in _WORDS:
        assert word not in b"".join(rest)
    assert start.count(b"statsMonthly") == 1, "not in the input and not in the summary"
    assert b"2026-10" not in start


async def test_with_a_key_the_message_of_a_failure_is_encrypted_and_its_code_is_not(
    settings: Settings, temporal_address: str
) -> None:
    async with _service(settings, temporal_address, A) as service, working(service):
        task = await service.exported()  # there is no collection
        run = service.run_of(task.id)
        with pytest.raises(WorkflowFailureError) as closed:
            await run.result()
        said = b"".join(await _events(run))
    assert task.error is not None
    assert isinstance(closed.value.cause, ApplicationError)
    assert closed.value.cause.message == task.error.msg
    assert b"E_COLLECTION" in said
    assert task.error.msg.encode() not in said
    assert b"Traceback" not in said
    assert b"activities/" not in said


async def test_the_reason_of_a_cancel_signal_is_encrypted(
    settings: Settings, temporal_address: str
) -> None:
    async with _service(settings, temporal_address, A) as service:
        task = await service.create()
        await service.run_of(task.id).signal("cancel", CancelRequest(reason="wrong-month"))
        async with working(service):
            ended = await service.ended(task.id)
        said = b"".join(await _events(service.run_of(task.id)))
    assert ended.cancel_reason == "wrong-month"
    assert b"wrong-month" not in said


async def test_a_run_that_began_without_a_key_can_end_with_one(
    settings: Settings, temporal_address: str
) -> None:
    async with (
        _service(settings, temporal_address, None) as plain,
        _service(settings, temporal_address, A) as encrypting,
    ):
        await insert_orders(plain.database)
        begun = await plain.create()
        async with working(encrypting):
            assert (await encrypting.ended(begun.id)).status is TaskStatus.DONE
            assert (await encrypting.run_of(begun.id).result())["status"] == "done"
        first, *rest = await _events(plain.run_of(begun.id))
        assert b"binary/encrypted" not in first
        assert b"binary/encrypted" in b"".join(rest)


async def test_an_export_that_began_under_the_old_key_ends_under_the_new_one(
    held: Settings, temporal_address: str
) -> None:
    at_once = timedelta(seconds=0.1)
    async with _service(held, temporal_address, A, shutdown_grace=at_once) as old:
        async with working(old):
            task = await old.create("held", params={})
            await _is_held(held)
        # Its worker has stopped, with the step under way: the new ones repeat it.
        _open(held)
        async with _service(held, temporal_address, BA) as new, working(new):
            assert (await new.ended(task.id)).status is TaskStatus.DONE
            assert (await new.run_of(task.id).result())["status"] == "done"
            events = await _events(new.run_of(task.id))
    ids = [key_id for event in events for key_id in (b"\x01a", b"\x01b") if key_id in event]
    assert ids[0] == b"\x01a"
    assert ids[-1] == b"\x01b"


@pytest.mark.parametrize("text", [None, A])
async def test_a_worker_without_the_key_leaves_the_export_to_one_that_has_it(
    settings: Settings, temporal_address: str, text: str | None
) -> None:
    async with _service(settings, temporal_address, B) as owner:
        await insert_orders(owner.database)
        run = await owner.temporal.start_workflow(
            names.EXPORT_WORKFLOW,
            ExportRequest(type="statsMonthly", params={**MONTH}, created_by=USER),
            id=names.workflow_id(settings.task_queue),
            task_queue=settings.task_queue,
            # A worker reports its first failure only; the second attempt waits for this timeout.
            task_timeout=timedelta(seconds=1),
        )
        async with _service(settings, temporal_address, text) as stranger, working(stranger):
            await _has_failed_a_workflow_task(run)
        assert (await run.describe()).status is WorkflowExecutionStatus.RUNNING
        async with working(owner):
            assert (await run.result())["status"] == "done"


async def _has_failed_a_workflow_task(run: WorkflowHandle[Any, Any]) -> None:
    async with asyncio.timeout(150):
        while True:
            async for event in run.fetch_history_events():
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                    failure = event.workflow_task_failed_event_attributes.failure
                    assert failure.application_failure_info.type == EncryptionKeyError.__name__
                    return
            await asyncio.sleep(0.05)


async def test_a_step_that_its_worker_cannot_decrypt_waits_for_the_key_and_costs_no_attempt(
    held: Settings, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "FIRST_WAIT_FOR_KEY", timedelta(seconds=0.2))
    _open(held)
    async with (
        _service(held, temporal_address, BA, worker_takes="small") as new,
        _service(held, temporal_address, A, worker_takes="bulk") as old,
        working(new),
    ):
        task = await new.create("held", params={})
        await new.database["ExportTasks"].update_one({}, {"$set": {"maxRetries": 1}})
        async with working(old):
            await _waits_for_the_key(new.run_of(task.id))
        async with (
            _service(held, temporal_address, BA, worker_takes="bulk") as rolled_out,
            working(rolled_out),
        ):
            done = await new.ended(task.id)
    assert (done.status, done.retries) == (TaskStatus.DONE, 0)


async def _waits_for_the_key(run: WorkflowHandle[Any, Any]) -> None:
    async with asyncio.timeout(150):
        while True:
            async for event in run.fetch_history_events():
                if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
                    return
            await asyncio.sleep(0.05)


async def test_a_step_that_no_worker_can_decrypt_in_time_fails_the_export_and_says_why(
    held: Settings, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "FIRST_WAIT_FOR_KEY", timedelta(seconds=0.2))
    monkeypatch.setattr(policies, "WAIT_FOR_KEY_WITHIN", timedelta(seconds=0.1))
    async with (
        _service(held, temporal_address, BA, worker_takes="small") as new,
        _service(held, temporal_address, A, worker_takes="bulk") as old,
        working(new),
        working(old),
    ):
        task = await new.create("held", params={})
        await new.database["ExportTasks"].update_one({}, {"$set": {"maxRetries": 1}})
        async with asyncio.timeout(150):
            failed = await new.ended(task.id)
    assert failed.error is not None
    assert (failed.status, failed.error.code) == (TaskStatus.FAILED, "E_ENCRYPTION_KEY")


async def test_the_schedule_is_encrypted_and_apply_gives_it_the_new_key(
    settings: Settings, temporal_address: str
) -> None:
    queue = settings.task_queue
    for text, key_id in ((A, b"a"), (B, b"b")):
        keys = EncryptionKeys.of(SecretStr(text))
        client = await Client.connect(temporal_address, data_converter=data_converter(keys))
        view = await SweepSchedule(client, task_queue=queue).apply()
        assert view.every_seconds == 300
        action = (await _schedule(client, queue)).action.start_workflow
        for payload in (*action.input.payloads, action.user_metadata.summary):
            assert payload.metadata["encoding"] == b"binary/encrypted"
            assert payload.metadata["encryption-key-id"] == key_id
        if text == B:
            await client.get_schedule_handle(names.schedule_id(queue)).delete()


async def _schedule(client: Client, queue: str) -> Schedule:
    found = await client.workflow_service.describe_schedule(
        DescribeScheduleRequest(namespace=client.namespace, schedule_id=names.schedule_id(queue))
    )
    return found.schedule


async def test_an_encrypted_history_replays_in_the_sandbox(
    settings: Settings, temporal_address: str
) -> None:
    async with _service(settings, temporal_address, A) as service, working(service):
        await insert_orders(service.database)
        task = await service.exported()
        await service.run_of(task.id).result()
        history = await service.run_of(task.id).fetch_history()
    await Replayer(
        workflows=[ExportWorkflow],
        interceptors=[Admission()],
        workflow_runner=strict_runner(),
        data_converter=data_converter(EncryptionKeys.of(SecretStr(BA))),
    ).replay_workflow(history)


async def test_the_sweep_closes_a_task_whose_failure_it_cannot_decrypt(
    settings: Settings, temporal_address: str
) -> None:
    async with (
        _service(settings, temporal_address, A) as old,
        _service(settings, temporal_address, B) as new,
    ):
        async with working(old):
            task = await old.exported()  # there is no collection
            with pytest.raises(WorkflowFailureError):
                await old.run_of(task.id).result()
            run = await old.run_of(task.id).describe()
        await old.database["ExportTasks"].update_one(
            {}, {"$set": {"status": "running", "runId": run.run_id}, "$unset": {"error": ""}}
        )
        async with working(new):
            assert (await new.client.sweep()).healed == 1
        closed = await new.client.get(task.id, created_by=USER)
    assert closed.error is not None
    assert (closed.status, closed.error.code) == (TaskStatus.FAILED, "E_ENCRYPTION_KEY")


async def test_the_longest_summary_still_fits_when_it_is_encrypted(
    settings: Settings, temporal_address: str
) -> None:
    keys = EncryptionKeys.of(SecretStr(_key("k" * 32)))
    client = await Client.connect(temporal_address, data_converter=data_converter(keys))
    for character in ('"', "图", "a", "\\"):
        task_id = f"{settings.task_queue}-{ord(character)}"
        request = ExportRequest(type="statsMonthly", created_by=character * 200, task_id=task_id)
        assert await start_export(client, request, task_queue=settings.task_queue)
        await client.get_workflow_handle(names.workflow_id(task_id)).terminate()


async def test_a_client_with_the_wrong_key_gets_an_error_at_once(
    settings: Settings, temporal_address: str
) -> None:
    async with _service(settings, temporal_address, A) as service, working(service):
        for text in (None, B, f"a:{B.partition(':')[2]}"):
            keys = EncryptionKeys.of(SecretStr(text) if text else None)
            other = await Client.connect(temporal_address, data_converter=data_converter(keys))
            task = await service.exported()
            with pytest.raises((WorkflowFailureError, EncryptionKeyError)) as raised:
                await other.get_workflow_handle(names.workflow_id(task.id)).result()
            assert isinstance(raised.value, EncryptionKeyError)
            assert raised.value.code == "E_ENCRYPTION_KEY"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("c2VjcmV0LXMzY3IzdC1zZWNyZXQtczNjcjN0LXMzY3I", "key 1 must be ID:KEY"),
        ("c2VjcmV0LXMzY3IzdC1zZWNyZXQtczNjcjN0LXMzY3I:a", "key 1 must be ID:KEY"),
        (f"{A},b:c2VjcmV0LXMzY3IzdA==", "key 2 has 13 bytes instead of 32"),
        ("a:c2VjcmV0L!XMzY3Iz", "key 1 is not base64; `openssl rand -base64 32`"),
        (f"{A},a:{B[2:]}", "has two keys with the same id"),
        (f"{A},b:{A[2:]}", "has the same key under two ids"),
        (" , ", "has no key"),
    ],
)
def test_a_wrong_key_is_named_by_its_number_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, wrong: str, said: str
) -> None:
    monkeypatch.setenv("EXPORTS_MONGO_URI", "mongodb://db")
    monkeypatch.setenv("EXPORTS_S3_BUCKET", "bucket")
    monkeypatch.setenv("EXPORTS_ENCRYPTION_KEY", wrong)
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert refused.value.msg.startswith(f"Settings are wrong: EXPORTS_ENCRYPTION_KEY: {said}")
    shown = "".join(traceback.format_exception(refused.value))
    for secret in ("c2Vjc", A[2:], B[2:]):
        assert secret not in shown


def _sealed(keys: str, data: bytes) -> Payload:
    codec = EncryptionCodec(EncryptionKeys.of(SecretStr(keys)))
    payload = Payload(metadata={"encoding": b"json/plain", "more": data}, data=data)
    [sealed] = asyncio.run(codec.encode([payload]))
    assert sealed.data != data
    [opened] = asyncio.run(codec.decode([sealed]))
    assert opened == payload
    return sealed


@given(data=st.binary(max_size=300), where=st.integers(min_value=0), bit=st.integers(0, 7))
def test_every_payload_can_be_decrypted_unless_it_was_changed(
    data: bytes, where: int, bit: int
) -> None:
    sealed = _sealed(BA, data)
    assert sealed != _sealed(BA, data), "equal payloads are encrypted differently"
    changed = bytearray(sealed.data)
    changed[where % len(changed)] ^= 1 << bit
    codec = EncryptionCodec(EncryptionKeys.of(SecretStr(BA)))
    for metadata, content in (
        (dict(sealed.metadata), bytes(changed)),
        (dict(sealed.metadata), sealed.data[: where % len(sealed.data)]),
        ({"encoding": b"binary/encrypted", "encryption-key-id": b"a"}, sealed.data),
        ({"encoding": b"binary/encrypted", "encryption-key-id": b"\xff\n" * 99}, sealed.data),
        ({"encoding": b"binary/encrypted"}, sealed.data),
    ):
        with pytest.raises(EncryptionKeyError) as refused:
            asyncio.run(codec.decode([Payload(metadata=metadata, data=content)]))
        assert len(refused.value.msg) < 200
        assert refused.value.msg.isprintable()
