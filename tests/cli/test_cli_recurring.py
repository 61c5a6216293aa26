"""Recurring exports on the command line."""

import pytest

from exports.settings import Settings
from tests.support.command_line import CommandLine, environment_of
from tests.support.service import Service

U1 = ("--created-by", "u1")


@pytest.fixture
def exports(settings: Settings, temporal_address: str) -> CommandLine:
    return CommandLine(environment_of(settings, temporal_address))


async def test_a_person_has_the_month_before_made_on_each_first(
    idle_service: Service, exports: CommandLine
) -> None:
    asked = ("--period", "previous month", "--on", "1st", "--at", "08:00", "--format", "xlsx")
    made = await exports.run("recurring", "create", "statsMonthly", *asked, *U1)
    assert made.code == 0, made.err
    assert "月度统计 Monthly statistics, previous month" in made.out
    assert "1st 08:00 Asia/Shanghai" in made.out
    [stored] = await idle_service.client.recurring.list(created_by="u1")
    assert stored.format == "xlsx"

    span = ("--from", "2026-08-01", "--to", "2026-11-01")  # before 08:00
    backfilled = await exports.run("recurring", "backfill", stored.id, *span, *U1)
    times = [line.removeprefix(f"{stored.id}-") for line in backfilled.out.split()]
    assert times == [f"2026-{month}-01T00:00:00Z" for month in ("08", "09", "10")]

    paused = await exports.run("recurring", "pause", stored.id, "--reason", "a holiday", "--json")
    assert (paused.json["state"], paused.code) == ("paused", 0)
    listed = await exports.run("recurring", "list", *U1)
    assert stored.id in listed.out
    assert "paused" in listed.out
    for _ in range(2):
        once = ("--idempotency-key", "now")
        triggered = await exports.run("recurring", "trigger", stored.id, *once, *U1)
        assert (triggered.code, "paused" in triggered.out) == (0, True)
    resumed = await exports.run("recurring", "resume", stored.id, *U1)
    shown = await exports.run("recurring", "show", stored.id, "--json")
    assert (resumed.code, shown.json["state"]) == (0, "active")
    audit = await exports.run("recurring", "audit", stored.id, "--json", *U1)
    did = [entry["did"] for entry in audit.json]
    assert did == ["created", "backfilled", "paused", "triggered", "resumed"]
    strange = await exports.run("recurring", "delete", stored.id, "--created-by", "u2")
    assert (strange.code, strange.err) == (2, "E_NOT_FOUND: There is no such recurring export.\n")
    assert (await exports.run("recurring", "delete", stored.id, *U1)).code == 0
    assert await idle_service.client.recurring.list(created_by=None) == []
