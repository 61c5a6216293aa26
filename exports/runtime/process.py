"""How the programs of this service log, and how they end."""

import logging
import os
import sys
from typing import NoReturn


class _OneLineErrors(logging.Filter):
    """Logs an error that has a code in one line, without its stack trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Imported only when there is something to log, so that `exports --help` is quick.
        from temporalio.exceptions import ApplicationError  # noqa: PLC0415 -- see above

        from exports.errors import ExportError  # noqa: PLC0415 -- same

        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, ApplicationError) and isinstance(error.__cause__, ExportError):
            error = error.__cause__  # the SDK wraps it, for example if it can't decode an input
        if isinstance(error, ApplicationError | ExportError):
            code = f"{error.code}: " if isinstance(error, ExportError) else ""
            record.msg = f"{record.getMessage()}: {code}{error}"
            record.args = None
            record.exc_info = None
        return True


def configure_logging() -> None:
    """Log to standard error, where the log of a container comes from."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_OneLineErrors())
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[handler],
    )


def keep_temporal_off_stdout(logger: logging.Logger | None = None) -> None:
    """Send the log of Temporal's core to a logger or nowhere, instead of to standard output.

    To be called before anything connects.

    Args:
        logger: Gets the log; without one, nothing is logged.
    """
    from temporalio.runtime import (  # noqa: PLC0415 -- as above
        LogForwardingConfig,
        LoggingConfig,
        Runtime,
        TelemetryConfig,
    )

    forwarded = None
    if logger:
        forwarded = LoggingConfig(
            filter=LoggingConfig.default.filter, forwarding=LogForwardingConfig(logger)
        )
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=forwarded)))


def end(code: int) -> NoReturn:
    """End this process at once, with an exit code.

    Without this, threads of Temporal's core may abort the interpreter while it shuts down:
    https://github.com/temporalio/sdk-python/issues/300
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # pyright: ignore[reportUnnecessaryComparison] -- None if it is closed
            stream.flush()
    os._exit(code)
