"""What people send by hand, put right or refused before the workflow's code sees it.

The payload converter refuses a request that can't be decoded; this refuses the wrong number of
inputs, and understands any number for a signal. Either would otherwise fail the workflow task,
again and again, for ever.
"""

from dataclasses import replace
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ExecuteWorkflowInput,
    HandleSignalInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.models import CancelRequest, ExportRequest


class Admission(Interceptor):
    """The worker's interceptor."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 -- the SDK's signature
    ) -> type[WorkflowInboundInterceptor]:
        """See base class."""
        return _Admitted


class _Admitted(WorkflowInboundInterceptor):
    async def execute_workflow(
        self,
        input: ExecuteWorkflowInput,  # noqa: A002 -- the SDK names it
    ) -> Any:  # noqa: ANN401 -- the SDK's signature
        is_export = workflow.info().workflow_type == names.EXPORT_WORKFLOW
        if is_export and not (len(input.args) == 1 and isinstance(input.args[0], ExportRequest)):
            raise ApplicationError(
                "An export is started with one JSON object: type, params, createdBy, format.",
                type="E_REQUEST",
                non_retryable=True,
            )
        return await super().execute_workflow(input)

    async def handle_signal(
        self,
        input: HandleSignalInput,  # noqa: A002 -- the SDK names it
    ) -> None:
        if input.signal == names.CANCEL_SIGNAL:
            given = input.args[0] if input.args else None
            if not isinstance(given, CancelRequest):
                given = CancelRequest.model_validate(given)
            input = replace(input, args=[given])  # noqa: A001 -- the SDK names it
        await super().handle_signal(input)
