"""Refuses a run that was not started with its one request, before the workflow's code runs.

The payload converter refuses what can't be decoded; this refuses the wrong number of inputs,
which would otherwise fail the workflow task, again and again, for ever.
"""

from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.models import ExportRequest


class Admission(Interceptor):
    """The worker's interceptor."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 -- the SDK's signature
    ) -> type[WorkflowInboundInterceptor]:
        """See base class."""
        return _OneRequest


class _OneRequest(WorkflowInboundInterceptor):
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
