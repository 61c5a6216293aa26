"""Holds the steps of a worker in this process until a test lets them go on.

To the server, a step that is held is running: it sends heartbeats and hears of a cancel.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

from temporalio import activity
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    Worker,
)

import worker

_BEAT = 1.0


class HeldSteps:
    """The steps that are held.

    Attributes:
        inside: What is held now: steps with their workflows.
    """

    def __init__(self) -> None:
        self.inside: set[tuple[str, str]] = set()
        self._shut: dict[tuple[str, str], asyncio.Event] = {}

    def hold(self, step: str, workflow: str) -> None:
        """Hold a step of a workflow from now on."""
        self._shut[step, workflow] = asyncio.Event()

    def release(self, step: str, workflow: str) -> None:
        """Let a step of a workflow go on, now and later."""
        if (event := self._shut.get((step, workflow))) is not None:
            event.set()

    async def pass_by(self) -> None:
        """Wait, in an activity, while it is held."""
        info = activity.info()
        place = (info.activity_type, info.workflow_id or "")
        event = self._shut.get(place)
        if event is None or event.is_set():
            return
        self.inside.add(place)
        while not event.is_set():
            activity.heartbeat()
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), _BEAT)


class _Holding(Interceptor):
    def __init__(self, held: HeldSteps) -> None:
        self._held = held

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 -- the SDK names it
        return _Hold(next, self._held)


class _Hold(ActivityInboundInterceptor):
    def __init__(self, inner: ActivityInboundInterceptor, held: HeldSteps) -> None:
        super().__init__(inner)
        self._held = held

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 -- the SDK names it
        await self._held.pass_by()
        return await super().execute_activity(input)


@contextmanager
def holding_steps() -> Generator[HeldSteps]:
    """Let all workers that are made in this block hold the steps that are named."""
    held = HeldSteps()

    class Watched(Worker):
        def __init__(self, *args: Any, interceptors: Any = (), **given: Any) -> None:
            super().__init__(*args, interceptors=[*interceptors, _Holding(held)], **given)

    with patch.object(worker, "Worker", Watched):
        yield held
