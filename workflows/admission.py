"""Refuses at once what would otherwise fail a workflow task again and again, for ever.

That is: an export that is started with too many inputs or none, and payloads that are larger than
Temporal accepts. What can't be decoded is refused before, by the payload converter.
"""

from typing import Any

from temporalio import workflow
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.errors import RequestError, TooLargeError
    from exports.models import ExportRequest
    from exports.temporal.payload_size import check_size
    from workflows.failures import application_error


class Admission(Interceptor):
    """The interceptor of a worker; it checks the number of inputs of an export."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 -- the SDK's signature
    ) -> type[WorkflowInboundInterceptor]:
        """See base class."""
        return _InputCheck


class _InputCheck(WorkflowInboundInterceptor):
    async def execute_workflow(
        self,
        input: ExecuteWorkflowInput,  # noqa: A002 -- the SDK names it
    ) -> Any:  # noqa: ANN401 -- the SDK's signature
        is_export = workflow.info().workflow_type == names.EXPORT_WORKFLOW
        if is_export and not (len(input.args) == 1 and isinstance(input.args[0], ExportRequest)):
            raise application_error(
                RequestError(
                    "The input of an export is one JSON object: type, params, createdBy, format."
                )
            )
        return await super().execute_workflow(input)


def refuse_too_large(size: int, what: str) -> None:
    """Fail the run if the input of a step is larger than Temporal accepts.

    Args:
        size: Size of the input as JSON, in bytes.
        what: What it holds, for people: `The request`.

    Raises:
        ApplicationError: It is larger than `MOST_BYTES`.
    """
    try:
        check_size(size, what)
    except TooLargeError as error:
        raise application_error(error) from None
