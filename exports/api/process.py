"""Runs the HTTP API as a process."""

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Final

from exports import names
from exports.api.settings import ApiSettings
from exports.runtime.listening import not_installed, open_socket, url_of
from exports.runtime.process import configure_logging, keep_temporal_off_stdout
from exports.settings import Settings

_log = logging.getLogger("exports.api")
_PACKAGES: Final = frozenset({"fastapi", "fastapi_offline", "jwt", "uvicorn"})


def serve() -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SettingsError: A setting is missing or wrong, the address can't be listened on, or the
            extra `api` is not installed.
        ExportError: What `ExportClient.connect` raises.
    """
    try:
        from exports.api import app, server  # noqa: F401, PLC0415 -- the extra may be missing
    except ModuleNotFoundError as error:
        raise not_installed(error, program="The API", extra="api", packages=_PACKAGES) from None
    configure_logging()
    keep_temporal_off_stdout(logging.getLogger("temporalio.core"))
    asyncio.run(_serve(Settings.load(), ApiSettings.load()))


async def _serve(settings: Settings, api: ApiSettings) -> None:
    from exports.api.app import build_app  # noqa: PLC0415 -- see `serve`
    from exports.api.server import ApiServer  # noqa: PLC0415 -- same
    from exports.client import ExportClient  # noqa: PLC0415 -- same
    from exports.connections import Connections  # noqa: PLC0415 -- same
    from exports.reports.file import load_reports  # noqa: PLC0415 -- same

    reports = load_reports(settings.reports_file)
    async with AsyncExitStack() as closing:
        listener = closing.enter_context(open_socket(api.api_listen, setting="EXPORTS_API_LISTEN"))
        connections = await Connections.open(settings, closing)
        client = ExportClient(
            connections=connections, settings=settings, reports=reports, origin=names.FROM_API
        )
        app = build_app(client=client, connections=connections, settings=settings, api=api)
        server = ApiServer(app, api, grace=settings.shutdown_grace.total_seconds())
        _log.info("The API listens on %s", url_of(listener))
        await server.serve(sockets=[listener])
