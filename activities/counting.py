"""Counts what becomes of the steps: failed attempts, and what a sweep did."""

import time
from typing import Any

from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from exports.models import SweepCount
from exports.runtime.metrics import count_failed_attempt, show_swept
from workflows.policies import LEFT_TO_OTHERS, WORKER_SHUTDOWN

_NO_FAILURES = frozenset({WORKER_SHUTDOWN, *LEFT_TO_OTHERS})


class Counting(Interceptor):
    """The interceptor of a worker; it counts attempts that failed, and shows sweeps."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 -- the SDK's signature
        """See base class."""
        return _Counted(next)


class _Counted(ActivityInboundInterceptor):
    async def execute_activity(
        self,
        input: ExecuteActivityInput,  # noqa: A002 -- the SDK names it
    ) -> Any:  # noqa: ANN401 -- the SDK's signature
        try:
            result = await super().execute_activity(input)
        except ApplicationError as error:
            if error.type not in _NO_FAILURES:
                count_failed_attempt(error.type)
            raise
        if isinstance(result, SweepCount):
            did = {
                "changed": result.changed,
                "refused": result.refused,
                "objects": result.objects,
            }
            show_swept(did, at=time.time())
        return result
