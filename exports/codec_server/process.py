"""Runs the codec server: opens its socket, handles signals, and logs."""

import logging
import socket
from typing import Final

from exports.codec_server.settings import CodecSettings
from exports.errors import SettingsError
from exports.runtime.process import configure_logging

_log = logging.getLogger("exports.codec_server")
_EXTRA: Final = frozenset({"itsdangerous", "starlette", "uvicorn"})
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
        package, _, _ = (error.name or "").partition(".")
        if package not in _EXTRA:
            raise
        raise SettingsError(
            f"The codec server needs the package {package}, which is not installed: "
            "pip install 'temporal-exports[codec]'."
        ) from None
    configure_logging()
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
    with _open_socket(settings) as listener:
        host, port = listener.getsockname()[:2]
        _log.info("Codec server listens on http://%s:%d", host, port)
        server.run(sockets=[listener])


def _open_socket(settings: CodecSettings) -> socket.socket:
    host, port = settings.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError(
            f"EXPORTS_CODEC_LISTEN: can't listen on {settings.codec_listen} ({error.strerror})."
        ) from None
