"""A person chooses how they are told, and sees what they were told: over HTTP and by commands."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from exports.cli import app as cli
from exports.cli.boundary import guarded
from exports.cli.create import parse_notify
from exports.errors import RequestError
from tests.support.api import OWNER, STRANGER, Api, open_api
from tests.support.command_line import environment_of
from tests.support.service import MONTH, Service
from tests.support.told import Told, message, messenger, register


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    told = Told()
    register(monkeypatch, told)
    return told


@pytest.fixture
async def api(idle_service: Service, told: Told) -> AsyncIterator[Api]:
    del told
    async with open_api(idle_service) as running:
        yield running


async def test_over_http_the_choice_is_one_s_own(api: Api) -> None:
    nothing = {"notify": [], "available": ["told"]}
    assert (await api.ask("GET", "/me/notify")).json()["data"] == nothing
    chosen = await api.ask("PUT", "/me/notify", json={"notify": ["told", "told"]})
    assert (chosen.status_code, chosen.json()["data"]["notify"]) == (200, ["told"])
    assert (await api.ask("GET", "/me/notify")).json()["data"]["notify"] == ["told"]
    assert (await api.ask("GET", "/me/notify", STRANGER)).json()["data"] == nothing


_REFUSED: dict[str, object] = {"type": "statsMonthly", "params": MONTH, "notify": ["pigeon"]}


@pytest.mark.parametrize(
    ("how", "path", "body"),
    [
        ("PUT", "/me/notify", {"notify": ["pigeon"]}),
        ("POST", "/exports", _REFUSED),
        ("POST", "/function", {"action": "create", "payload": _REFUSED}),
    ],
)
async def test_a_channel_that_there_is_not_is_refused_over_http(
    api: Api, how: str, path: str, body: dict[str, object]
) -> None:
    answer = await api.ask(how, path, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "E_CHANNEL")


@pytest.fixture
def run(
    idle_service: Service,
    temporal_address: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Awaitable[str]]:
    """Runs a command of the owner and returns its output."""
    for name, value in environment_of(idle_service.settings, temporal_address).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("exports.cli.boundary.keep_temporal_off_stdout", lambda: None)

    async def run(*arguments: str) -> str:
        await asyncio.to_thread(guarded, cli.app, [*arguments, "--created-by", OWNER])
        return capsys.readouterr().out

    return run


async def test_commands_choose_and_show(
    idle_service: Service, told: Told, run: Callable[..., Awaitable[str]]
) -> None:
    assert await run("notify", "show") == "told by: nothing\navailable: told\n"
    assert await run("notify", "set", "told") == "told by: told\navailable: told\n"
    assert json.loads(await run("notify", "show", "--json"))["notify"] == ["told"]
    assert await run("notify", "set") == "told by: nothing\navailable: told\n"
    created = await run(
        *("create", "statsMonthly", "-p", "year=2026", "-p", "month=10", "--notify", "told"),
        "--json",
    )
    assert json.loads(created)["notify"] == ["told"]
    await messenger(idle_service, told).tell(message(OWNER), ["told"])
    table = (await run("deliveries")).splitlines()
    assert table[0].split() == [
        *("id", "message", "channel", "to", "status", "attempt", "answered", "ms", "details")
    ]
    assert "recurring.paused" in table[1]
    assert f"the address of {OWNER}" in table[1]
    delivery = table[1].split()[0]
    assert "cancelled" in await run("delivery", "cancel", delivery)


async def test_on_the_command_line_nobody_can_be_told_of_one_export(
    run: Callable[..., Awaitable[str]],
) -> None:
    asked = ("create", "statsMonthly", "-p", "year=2026", "-p", "month=10", "--json")
    assert json.loads(await run(*asked, "--notify", "none"))["notify"] == []
    assert parse_notify(None) is None
    assert parse_notify(["told", "email"]) == ["told", "email"]
    with pytest.raises(RequestError, match="give no channel with it"):
        parse_notify(["none", "told"])
