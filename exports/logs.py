"""How a worker logs: one line a fact, and no traceback for an error that says itself."""

import logging
import sys

from temporalio.exceptions import ApplicationError


class _SaysItself(logging.Filter):
    """Puts a coded error on the line, in place of the stack that it travelled through."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(error, ApplicationError):
            record.msg = f"{record.getMessage()}: {error}"
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
