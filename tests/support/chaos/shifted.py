"""A process with a wrong clock, for the product and for its client of the object store."""

import datetime as dt
import time
from types import SimpleNamespace
from unittest.mock import patch

from botocore import auth, compat

from exports import clock


def shift_clock(milliseconds: int) -> None:
    """Shift the clock of this process, until it ends."""
    if not milliseconds:
        return
    wrong = SimpleNamespace(time_ns=lambda: time.time_ns() + milliseconds * 1_000_000)

    def wrong_now() -> dt.datetime:
        return compat.get_current_datetime() + dt.timedelta(milliseconds=milliseconds)

    patch.object(clock, "time", wrong).start()
    patch.object(auth, "get_current_datetime", wrong_now).start()
