"""The codec server as a process: a socket, signals, and a log."""

import logging
import socket

import uvicorn

from exports.codec_server.app import application
from exports.codec_server.settings import CodecSettings
from exports.errors import SettingsError
from exports.runtime.process import configure_logging

_log = logging.getLogger("exports.codec_server")
_AT_ONCE = 64
_GRACE = 5


def serve() -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SettingsError: A setting is missing or wrong, or nobody can listen there.
    """
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
            limit_concurrency=_AT_ONCE,
            timeout_graceful_shutdown=_GRACE,
        )
    )
    with _listening(settings) as listening:
        host, port = listening.getsockname()[:2]
        _log.info("Codec server listens on http://%s:%d", host, port)
        server.run(sockets=[listening])


def _listening(settings: CodecSettings) -> socket.socket:
    host, port = settings.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError(
            f"EXPORTS_CODEC_LISTEN: nobody can listen on {settings.codec_listen} "
            f"({error.strerror})."
        ) from None
