"""Messages to somebody else do not exist, for every call and in every way one could tell."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx2
import pytest

from exports.cli import app as cli
from exports.cli.boundary import guarded
from exports.client import ExportClient
from exports.errors import RequestError, TaskNotFoundError
from tests.support.api import OPERATOR, OWNER, STRANGER, Api, open_api
from tests.support.command_line import environment_of
from tests.support.protections import protected_by
from tests.support.service import Service
from tests.support.told import Told, message, messenger

NOT_THERE = "0123456789abcdef0123456789abcdef"
CALLS: dict[str, Callable[[ExportClient, str, str], Awaitable[object]]] = {
    "get": lambda client, its, who: client.deliveries.get(its, created_by=who),
    "send again": lambda client, its, who: client.deliveries.send_again(its, created_by=who),
    "cancel": lambda client, its, who: client.deliveries.cancel(its, created_by=who),
}
owners_are_checked = protected_by(
    "exports/messages/deliveries.py",
    'if found is None or created_by not in (None, found["createdBy"]):',
    instead="if found is None:",
)


@pytest.fixture
async def delivery_id(idle_service: Service) -> str:
    """A delivery to the owner that waits for a worker."""
    told = Told()
    for who in (OWNER, STRANGER):
        await messenger(idle_service, told).tell(message(who), ["told"])
    [delivery] = await idle_service.client.deliveries.list(created_by=OWNER)
    return delivery.id


@owners_are_checked
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_a_delivery_to_somebody_else_is_one_that_does_not_exist(
    idle_service: Service,
    delivery_id: str,
    call: Callable[[ExportClient, str, str], Awaitable[object]],
) -> None:
    for named in (delivery_id, NOT_THERE, "\ud800"):
        with pytest.raises(TaskNotFoundError, match=r"^There is no such delivery.$"):
            await call(idle_service.client, named, STRANGER)


async def test_nobody_is_listed_what_others_were_told(
    idle_service: Service, delivery_id: str
) -> None:
    deliveries = idle_service.client.deliveries
    seen = {
        who: [item.created_by for item in await deliveries.list(created_by=who)]
        for who in (OWNER, STRANGER, None)
    }
    assert seen == {OWNER: [OWNER], STRANGER: [STRANGER], None: [STRANGER, OWNER]}
    for named in (delivery_id, NOT_THERE):
        with pytest.raises(RequestError, match="no delivery `after`"):
            await deliveries.list(created_by=STRANGER, after=named)
    [rest] = await deliveries.list(
        created_by=None, after=(await deliveries.list(created_by=STRANGER))[0].id
    )
    assert rest.id == delivery_id


@pytest.fixture
async def api(idle_service: Service) -> AsyncIterator[Api]:
    async with open_api(idle_service) as running:
        yield running


def _seen(answer: httpx2.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    headers = [(name, value) for name, value in answer.headers.multi_items() if name != "date"]
    return answer.status_code, answer.content, headers


@owners_are_checked
async def test_over_http_they_do_not_exist_either(api: Api, delivery_id: str) -> None:
    paths = api.app.openapi()["paths"]
    calls = [
        (how, path) for path in paths if path.startswith("/deliveries/") for how in paths[path]
    ]
    assert len(calls) == 3
    for how, path in calls:
        hidden = await api.ask(how, path.replace("{id}", delivery_id), STRANGER)
        nothing = await api.ask(how, path.replace("{id}", NOT_THERE), STRANGER)
        assert _seen(hidden) == _seen(nothing), path
        assert (hidden.status_code, hidden.json()["error"]["code"]) == (404, "E_NOT_FOUND")
    own = await api.ask("GET", f"/deliveries/{delivery_id}")
    assert own.json()["data"]["status"] == "pending"
    listed = (await api.ask("GET", "/deliveries", OPERATOR, params={"limit": 1})).json()["data"]
    assert (len(listed["items"]), listed["next"]) == (1, listed["items"][0]["id"])
    rest = await api.ask("GET", "/deliveries", OPERATOR, params={"after": listed["next"]})
    assert [item["id"] for item in rest.json()["data"]["items"]] == [delivery_id]


async def test_on_the_command_line_they_do_not_exist_either(
    idle_service: Service,
    delivery_id: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    temporal_address: str,
) -> None:
    for name, value in environment_of(idle_service.settings, temporal_address).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("exports.cli.boundary.keep_temporal_off_stdout", lambda: None)

    async def said(*arguments: str) -> str:
        await asyncio.to_thread(guarded, cli.app, [*arguments, "--json"])
        return capsys.readouterr().out

    for command in ("show", "send-again", "cancel"):
        hidden = await said("delivery", command, delivery_id, "--created-by", STRANGER)
        nothing = await said("delivery", command, NOT_THERE, "--created-by", STRANGER)
        assert hidden == nothing
        assert json.loads(hidden)["error"]["code"] == "E_NOT_FOUND"
    own = await said("delivery", "show", delivery_id, "--created-by", OWNER)
    assert json.loads(own)["id"] == delivery_id
    assert [item["createdBy"] for item in json.loads(await said("deliveries"))] == [STRANGER, OWNER]
