"""Runs the HTTP API as a process."""

import asyncio
import logging
from typing import Final

from exports.api.settings import ApiSettings
from exports.runtime.listening import not_installed
from exports.runtime.log_settings import LogSettings
from exports.runtime.logs import configure_logging
from exports.runtime.metrics import start_temporal
from exports.settings import Settings

_PACKAGES: Final = frozenset({"fastapi", "fastapi_offline", "jwt", "uvicorn"})


def serve() -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SettingsError: A setting is missing or wrong, the address can't be listened on, or the
            extra `api` is not installed.
        ExportError: What `ExportClient.connect` raises.
    """
    try:
        from exports.api.server import run  # noqa: PLC0415 -- the extra may be missing
    except ModuleNotFoundError as error:
        raise not_installed(error, program="The API", extra="api", packages=_PACKAGES) from None
    configure_logging(LogSettings.load())
    settings, api = Settings.load(), ApiSettings.load()
    start_temporal(logging.getLogger("temporalio.core"), metrics_listen=settings.metrics_listen)
    asyncio.run(run(settings, api))
