"""Tells heavy steps which short steps run, so that they give way."""

from typing import Any, Final

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from exports import names
from exports.runtime.precedence import small_step

# Those of big exports are among them, because they are as short: the claim and the writeback.
_STEPS: Final = frozenset({names.CLAIM, names.AGGREGATE, names.UPLOAD, names.WRITEBACK_DONE})


class Precedence(Interceptor):
    """The interceptor of a worker that polls the queue of small exports."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 -- the SDK's signature
        """See base class."""
        return _First(next)


class _First(ActivityInboundInterceptor):
    async def execute_activity(
        self,
        input: ExecuteActivityInput,  # noqa: A002 -- the SDK names it
    ) -> Any:  # noqa: ANN401 -- the SDK's signature
        if activity.info().activity_type not in _STEPS:
            return await super().execute_activity(input)
        with small_step():
            return await super().execute_activity(input)
