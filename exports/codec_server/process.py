"""Runs the codec server as a process."""

import logging
from typing import Final

from exports.codec_server.settings import CodecSettings
from exports.runtime.listening import not_installed, open_socket, url_of
from exports.runtime.log_settings import LogSettings
from exports.runtime.logs import configure_logging

_log = logging.getLogger("exports.codec_server")
_PACKAGES: Final = frozenset({"itsdangerous", "starlette", "uvicorn"})
_MAX_CONNECTIONS: Final = 64
_SHUTDOWN_GRACE: Final = 5
"""How long requests may take to finish when the server is stopped, in seconds."""


def serve() -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SettingsError: A setting is missing or wrong, the address can't be listened on, or the
            extra `codec` is not installed.
    """
    try:
        import uvicorn  # noqa: PLC0415 -- the extra may be missing

        from exports.codec_server.app import application  # noqa: PLC0415 -- as above
    except ModuleNotFoundError as error:
        raise not_installed(
            error, program="The codec server", extra="codec", packages=_PACKAGES
        ) from None
    configure_logging(LogSettings.load())
    settings = CodecSettings.load()
    server = uvicorn.Server(
        uvicorn.Config(
            application(settings),
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_graceful_shutdown=_SHUTDOWN_GRACE,
        )
    )
    with open_socket(settings.codec_listen, setting="EXPORTS_CODEC_LISTEN") as listener:
        _log.info("Codec server listens on %s", url_of(listener))
        server.run(sockets=[listener])
