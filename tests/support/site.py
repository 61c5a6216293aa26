"""The exports page as people meet it: a service with a worker, and `exports api` as a process."""

import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from dev import orders, ports, readiness
from dev.endpoints import Endpoints
from dev.process import Process
from exports.tokens import TokenStore
from tests.support import held_report, leaks
from tests.support.command_line import environment_of
from tests.support.paths import REPORTS, REPOSITORY
from tests.support.service import Service, open_service, working
from tests.support.settings import settings_of
from tests.support.webhook_settings import with_webhooks

OPERATOR: Final = "operator"
WEB_UI: Final = "http://temporal.example.com"
HELD: Final = """
[reports.held]
title = "Held orders"
python = "tests.support.held_report:HeldReport"
"""
"""A report whose exports stay in the middle until the gate is opened."""
_EVERY: Final = 16  # loading all sample orders would take half a minute
_GRACE: Final = 10.0  # seconds
_P = ParamSpec("_P")
_R = TypeVar("_R")


class Site:
    """A running service for people with a browser.

    Attributes:
        url: Where the page is.
        service: The service; call it through `run`, because it has an event loop of its own.
    """

    def __init__(
        self,
        portal: BlockingPortal,
        service: Service,
        endpoints: Endpoints,
        folder: Path,
    ) -> None:
        self._portal = portal
        self._folder = folder
        self.service: Final = service
        port = ports.choose({"api": 0})["api"]
        self.url: Final = f"http://{ports.LOOPBACK}:{port}"
        self._endpoints = endpoints.model_copy(update={"api_url": self.url})
        self._environment = environment_of(service.settings, endpoints.temporal_address) | {
            "EXPORTS_API_LISTEN": f"{ports.LOOPBACK}:{port}",
            "EXPORTS_API_RATE": "100000",
            "EXPORTS_API_WEB_UI_URL": WEB_UI,
        }
        self._tokens: dict[str, str] = {}
        self._api: Process | None = None

    def run(self, call: Callable[_P, Awaitable[_R]], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call something of the service, and wait for it."""
        return self._portal.call(partial(call, *args, **kwargs))

    def during(self, manager: AbstractAsyncContextManager[_R]) -> AbstractContextManager[_R]:
        """Enter something asynchronous, such as a server."""
        return self._portal.wrap_async_context_manager(manager)

    def token(self, who: str) -> str:
        """Return the token of somebody."""
        if who not in self._tokens:
            create = TokenStore(self.service.database).create
            self._tokens[who], _ = self.run(create, who, operator=who == OPERATOR)
        return self._tokens[who]

    def start_api(self) -> None:
        """Start the API, unless it runs, and wait until it is ready."""
        if self._api is not None:
            return
        self._api = Process(
            "The API",
            [sys.executable, "-m", "exports.cli.app", "api"],
            log=self._folder / f"api-{secrets.token_hex(4)}.log",
            environment=self._environment,
            cwd=REPOSITORY,
            grace=_GRACE,
        )
        readiness.wait_until(readiness.api, self._endpoints, self._api)

    def kill_api(self) -> None:
        """Kill the API, like a power failure."""
        if self._api is not None:
            self._api.kill()
        self.stop_api()

    def stop_api(self) -> None:
        """Stop the API in order."""
        if self._api is not None:
            self._api.stop()
        self._api = None

    @property
    def _gate(self) -> Path:
        return Path(os.environ[held_report.GATE])

    def hold(self) -> None:
        """Keep all exports of the type `held` in the middle, from now on."""
        (self._gate / "open").unlink(missing_ok=True)

    def let_go(self) -> None:
        """Let them go on."""
        (self._gate / "open").touch()


@contextmanager
def open_site(endpoints: Endpoints, folder: Path) -> Generator[Site]:
    """Run a service with sample orders.

    Args:
        endpoints: The servers.
        folder: For its files.
    """
    reports = folder / "exports.toml"
    reports.write_text(REPORTS.read_text(encoding="utf-8") + HELD, encoding="utf-8")
    own = secrets.token_hex(8)
    chosen = with_webhooks(
        settings_of(
            endpoints,
            database=f"t_{own}",
            prefix=f"t-{own}/",
            task_queue=f"t-{own}",
            reports=reports,
        )
    ).model_copy(update={"join_within": timedelta(minutes=10), "quota_open": 20})
    os.environ[held_report.GATE] = str(folder)
    logs = Path(os.environ.get(leaks.LOGS, folder))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            open_service(chosen, endpoints.temporal_address)
        ) as service,
        portal.wrap_async_context_manager(working(service)),
    ):
        site = Site(portal, service, endpoints, logs)
        site.run(service.database["orders"].insert_many, orders.orders()[::_EVERY])
        site.let_go()
        site.start_api()
        try:
            yield site
        finally:
            site.let_go()
            site.stop_api()
            site.run(service.connections.mongo.drop_database, chosen.mongo_database)
