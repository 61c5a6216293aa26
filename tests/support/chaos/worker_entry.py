"""`worker.py` with a line for each step that begins or ends, for the test that kills it.

It is forked from a process that has imported it (see `tests/support/chaos/forked.py`), and ends
when the test that started it has gone. Environment variables change what no setting of the product
does: how soon a worker counts as lost, the part size of uploads, and where a step is held (see
`tests/support/chaos/gates.py`).
"""

import json
import multiprocessing
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from multiprocessing import connection
from pathlib import Path
from typing import Any, Final, NoReturn
from unittest.mock import patch

from temporalio import activity
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    Worker,
)

import worker
from exports.models import DEFAULT_HEARTBEAT
from exports.runtime.process import end
from exports.storage import upload as uploads
from tests.support.chaos import receiver
from tests.support.chaos.gates import GATES, pass_gate
from workflows import policies

HEARTBEAT: Final = "CHAOS_HEARTBEAT"
"""Seconds without a heartbeat after which a worker counts as lost; default: the product's."""
PART_SIZE: Final = "CHAOS_PART_SIZE"
"""Part size of a multipart upload in bytes; default: the product's."""
_STEP_POLICIES: Final = (
    *("CLAIM_STEP", "AGGREGATE_STEP", "UPLOAD_STEP", "WRITEBACK_STEP", "CLEANUP_STEP"),
    *("SWEEP_STEP", "DELIVER_STEP"),
)


class _StepLines(Interceptor):
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 -- the SDK names it
        return _Lines(next, self._descriptor)


class _Lines(ActivityInboundInterceptor):
    def __init__(self, inner: ActivityInboundInterceptor, descriptor: int) -> None:
        super().__init__(inner)
        self._descriptor = descriptor

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 -- the SDK names it
        info = activity.info()
        unit = getattr(input.args[0], "unit", None) if input.args else None
        said = {
            "id": f"{info.workflow_run_id} {info.activity_id} {info.attempt}",
            "workflow": info.workflow_id,
            "step": info.activity_type,
            "unit": getattr(unit, "key", ""),
        }
        self._say(said | {"event": "begin"})
        try:
            if GATES in os.environ:
                await pass_gate(Path(os.environ[GATES]))
            return await super().execute_activity(input)
        finally:
            self._say(said | {"event": "end"})

    def _say(self, said: dict[str, Any]) -> None:
        # A write of less than PIPE_BUF bytes is atomic.
        os.write(self._descriptor, (json.dumps(said) + "\n").encode())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _missed_within(silence: timedelta) -> dict[str, Any]:
    for name in _STEP_POLICIES:
        setattr(policies, name, replace(getattr(policies, name), heartbeat=silence))
    per_timeout = silence / DEFAULT_HEARTBEAT
    setattr(policies, "HEARTBEATS_PER_TIMEOUT", per_timeout)  # noqa: B010 -- it is Final
    # For ten seconds the server offers a run only to the worker that has it cached, even if dead.
    return {"sticky_queue_schedule_to_start_timeout": silence}


def run(
    environment: Mapping[str, str], log: Path, step_lines: "connection.Connection[str, str]"
) -> NoReturn:
    """Be the worker until the end of the process.

    Args:
        environment: The whole environment.
        log: The file for standard output and error.
        step_lines: Gets a line of JSON for each step that begins or ends.
    """
    for number in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lines = _StepLines(step_lines.fileno())
    changed: dict[str, Any] = {}
    if HEARTBEAT in os.environ:
        changed = _missed_within(timedelta(seconds=float(os.environ[HEARTBEAT])))

    class Watched(Worker):
        def __init__(
            self, *args: Any, interceptors: Sequence[Interceptor] = (), **given: Any
        ) -> None:
            super().__init__(*args, **(given | changed | {"interceptors": [*interceptors, lines]}))

    if receiver.RECEIVER in os.environ:
        receiver.register()
    if PART_SIZE in os.environ:
        setattr(uploads, "PART_SIZE", int(os.environ[PART_SIZE]))  # noqa: B010 -- it is Final
    with patch.object(worker, "Worker", Watched):
        end(worker.main())
