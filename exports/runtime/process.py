"""How the programs of this service begin and end."""

import logging
import os
import sys
from typing import NoReturn


def keep_temporal_off_stdout() -> None:
    """Log nothing of Temporal's core, which would write to standard output.

    To be called before anything connects, by a program that does not call `start_temporal`.
    """
    # Imported only by who connects, so that `exports --help` is quick.
    from temporalio.runtime import Runtime, TelemetryConfig  # noqa: PLC0415 -- see above

    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=None)))


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
