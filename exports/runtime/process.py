"""What every program of this service does as a process: how it logs, and how it ends."""

import logging
import os
import sys
from typing import NoReturn


class _SaysItself(logging.Filter):
    """Puts a coded error on the line, in place of the stack that it travelled through."""

    def filter(self, record: logging.LogRecord) -> bool:
        # The import is made when there is something to log: `exports --help` is to be quick.
        from temporalio.exceptions import ApplicationError  # noqa: PLC0415 -- see above

        from exports.errors import ExportError  # noqa: PLC0415 -- same

        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, ApplicationError) and isinstance(error.__cause__, ExportError):
            error = error.__cause__  # what the SDK wraps, as when it can't decode an input
        if isinstance(error, ApplicationError | ExportError):
            code = f"{error.code}: " if isinstance(error, ExportError) else ""
            record.msg = f"{record.getMessage()}: {code}{error}"
            record.args = None
            record.exc_info = None
        return True


def configure_logging() -> None:
    """Log to standard error, which is where a container's log comes from."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_SaysItself())
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[handler],
    )


def keep_temporal_off_stdout(logger: logging.Logger | None = None) -> None:
    """Send what Temporal's core has to say to a logger, or nowhere, and not to standard output.

    To be called before anything connects.
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

    Threads of Temporal's core may abort an interpreter that is being taken down in the ordinary
    way: https://github.com/temporalio/sdk-python/issues/300
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # pyright: ignore[reportUnnecessaryComparison] -- None if it is closed
            stream.flush()
    os._exit(code)
