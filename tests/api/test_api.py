"""The HTTP API: what each call answers, and in which form."""

from tests.support.api import OPERATOR, STRANGER, open_api
from tests.support.service import Service


async def test_who_asks_sees_their_export_and_nobody_else_does(idle_service: Service) -> None:
    task = await idle_service.create()
    async with open_api(idle_service) as api:
        shown = await api.ask("GET", f"/exports/{task.id}")
        assert (shown.status_code, shown.json()["data"]["id"]) == (200, task.id)
        assert (await api.ask("GET", f"/exports/{task.id}", OPERATOR)).status_code == 200
        hidden = await api.ask("GET", f"/exports/{task.id}", STRANGER)
        assert hidden.status_code == 404
        problem = {"code": "E_NOT_FOUND", "msg": "There is no such task.", "retryable": False}
        assert hidden.json() == {"ok": False, "error": problem}
        assert (await api.ask("GET", f"/exports/{task.id}", None)).status_code == 401
        ready = await api.ask("GET", "/readyz", None)
        assert ready.json() == {"ok": True, "data": dict.fromkeys(ready.json()["data"], True)}
