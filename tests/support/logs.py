"""The log of a program, as this process would write it."""

import io
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal

from exports.runtime.log_settings import LogSettings
from exports.runtime.logs import handler_of
from tests.support import leaks


@contextmanager
def logged(log_format: Literal["text", "json"]) -> Generator[Callable[[], list[str]]]:
    """Log what is logged in the block as a program would; yield what returns its lines so far."""
    stream = io.StringIO()
    handler = handler_of(LogSettings(log_format=log_format), stream)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield lambda: stream.getvalue().splitlines()
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        leaks.keep(f"log-{log_format}", stream.getvalue())
