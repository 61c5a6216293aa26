"""What a person reads who has mistyped the name of the task queue."""

from exports.settings import Settings
from tests.support.command_line import CommandLine, environment_of
from tests.support.service import Service

ASK = ["create", "statsMonthly", "-p", "year=2026", "-p", "month=10", "--created-by", "u1"]


async def test_a_mistyped_queue_is_named_when_an_export_is_created_and_when_it_is_cancelled(
    service: Service, settings: Settings, temporal_address: str
) -> None:
    exports = CommandLine(environment_of(settings, temporal_address))
    mistyped = f"{settings.task_queue}-exprots"
    created = await exports.run(*ASK, "--json", EXPORTS_TASK_QUEUE=mistyped)
    assert (created.code, created.json["status"]) == (0, "pending")
    [warning, _] = created.err.splitlines()
    assert warning.startswith(f"No worker has been seen on task queue {mistyped}; ")
    cancelled = await exports.run("cancel", created.json["id"], "--json")
    assert (cancelled.code, cancelled.json["status"]) == (0, "cancelled")
    [warning] = cancelled.err.splitlines()
    assert warning.startswith(f"No worker polls task queue {mistyped}. ")
    assert (await service.client.sweep()).handled == 0
