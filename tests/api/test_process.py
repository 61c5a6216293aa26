"""`exports api` as a process: how it starts, how it stops, and what it says if it can't."""

import asyncio
import json
import signal
import subprocess
import sys
from dataclasses import replace

import httpx2
from pydantic import SecretStr

from exports.api.readiness import Readiness
from exports.connections import mongo_client
from exports.settings import Settings
from tests.support import leaks
from tests.support.api import open_api
from tests.support.command_line import CommandLine, environment_of
from tests.support.metrics import scraped
from tests.support.service import PATIENCE, Service


async def test_it_answers_measures_and_logs_until_sigterm(
    settings: Settings, temporal_address: str
) -> None:
    environment = environment_of(settings, temporal_address)
    environment |= {"EXPORTS_API_LISTEN": "127.0.0.1:0", "EXPORTS_LOG_FORMAT": "json"}
    exports = CommandLine(environment | {"EXPORTS_METRICS_LISTEN": "localhost:0"})
    process = await exports.start("api")
    assert process.stderr
    log = ""
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while "The API listens on " not in log:
            line = (await process.stderr.readline()).decode()
            assert line, log
            log += line
    said = [json.loads(line)["message"] for line in log.splitlines()]
    metrics, url = (line.rpartition(" ")[2] for line in (said[0], said[-1]))
    async with httpx2.AsyncClient(base_url=url, timeout=60) as http:
        ready = (await http.get("/readyz")).json()
        assert ready == {"ok": True, "data": {"temporal": True, "database": True, "store": True}}
        await http.get("/exports/5f1d")
    seen = await asyncio.to_thread(scraped, metrics)
    requests = seen.sums("exports_api_request_seconds_count", "method", "route", "status")
    assert requests == {("GET", "/readyz", "200"): 1, ("GET", "/exports/{id}", "401"): 1}
    assert seen.sums("temporal_request_total", "operation")
    process.send_signal(signal.SIGTERM)
    _, rest = await process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert all(json.loads(line) for line in rest.splitlines())
    leaks.keep("api", log + rest.decode())


async def test_streams_hear_of_the_end_before_the_server_waits_for_them(
    idle_service: Service,
) -> None:
    async with open_api(idle_service) as api:
        stopping: asyncio.Event = api.app.state.stopping
        assert not stopping.is_set()
        api.server.should_exit = True
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await stopping.wait()


def test_without_its_packages_it_says_what_to_install() -> None:
    # In a process of its own, because it leaves modules behind that are half imported.
    program = """
import sys
from exports.api.process import serve
from exports.errors import SettingsError
for package in ("fastapi", "uvicorn", "fastapi_offline", "jwt"):
    for name in [name for name in sys.modules if name.startswith("exports.api.")]:
        del sys.modules[name]
    was, sys.modules[package] = sys.modules.get(package), None
    try:
        serve()
    except SettingsError as error:
        assert f"needs the package {package}," in error.msg, error.msg
        assert error.msg.endswith("pip install 'temporal-exports[api]'."), error.msg
    if was is None:
        del sys.modules[package]
    else:
        sys.modules[package] = was
print("all four")
"""
    done = subprocess.run(  # noqa: S603 -- our own code
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("all four\n", "")


async def test_it_says_which_server_does_not_answer(idle_service: Service) -> None:
    nowhere = SecretStr("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1")
    async with open_api(idle_service) as api, mongo_client(nowhere) as mongo:
        away = replace(idle_service.connections, mongo=mongo)
        api.app.state.parts = replace(api.app.state.parts, readiness=Readiness(away))
        answer = await api.ask("GET", "/readyz", None)
        assert answer.status_code == 503
        assert answer.json()["data"] == {"temporal": True, "database": False, "store": True}
        assert (await api.ask("GET", "/healthz", None)).status_code == 200
