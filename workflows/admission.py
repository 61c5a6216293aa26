"""Refuses at once what would otherwise fail a workflow task again and again, for ever.

That is: inputs that people send by hand in the wrong number or shape, and payloads that are larger
than Temporal accepts. A request that can't be decoded is refused before, by the payload converter.
"""

from dataclasses import replace
from typing import Any

from temporalio import workflow
from temporalio.worker import (
    ExecuteWorkflowInput,
    HandleSignalInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

with workflow.unsafe.imports_passed_through():
    from exports import names
    from exports.errors import RequestError, TooLargeError
    from exports.models import CancelRequest, ExportRequest
    from exports.temporal.payload_size import check_size
    from workflows.failures import application_error


class Admission(Interceptor):
    """The interceptor of a worker; it checks the inputs of workflows and signals."""

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
