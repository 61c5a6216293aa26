"""The OpenAPI document, where it is not what FastAPI makes of the routes."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI

from exports.api.event_texts import ExportEvent
from exports.models import Stage, TaskStatus
from exports.tasks.task import ExportTask, Progress

_TASK: Final = ExportTask(
    id="6720c1f0a1b2c3d4e5f60718",
    type="statsMonthly",
    params={"year": 2026, "month": 10},
    status=TaskStatus.RUNNING,
    created_by="u1",
    created_at=1_793_000_000_000,
    started_at=1_793_000_000_400,
    updated_at=1_793_000_001_500,
    format="xlsx",
    progress=Progress(stage=Stage.AGGREGATE, rows=1200),
    workflow_id="export-6720c1f0a1b2c3d4e5f60718",
    run_id="0199f5a4-7d3b-7c7e-a5a5-1f8d8f3c9b10",
).model_dump(mode="json", by_alias=True)
_EXAMPLES: Final[dict[str, Any]] = {
    "Ok_ExportTask_": {"ok": True, "data": _TASK},
    "Ok_Created_": {"ok": True, "data": {**_TASK, "joined": False}},
    "Ok_Page_": {"ok": True, "data": {"items": [_TASK], "next": None}},
    "Failed": {
        "ok": False,
        "error": {"code": "E_NOT_FOUND", "msg": "There is no such task.", "retryable": False},
    },
}
"""An answer for each schema of answers that has one."""


class DocumentedApi(FastAPI):
    """FastAPI, with the errors of this API in place of its own, and with examples of answers.

    The document says nothing of the reports, because everybody can read it: `GET /types` does.
    """

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, which is made once."""
        if self.openapi_schema is not None:
            return self.openapi_schema
        made = super().openapi()
        for answers in _all_answers(made):
            if "HTTPValidationError" in str(answers.get("422")):
                del answers["422"]
            for answer in answers.values():
                _add_example(answer)
        for parameter in _all_parameters(made):
            _leave_out_null(parameter["schema"])
        schemas = made["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        event = ExportEvent.model_json_schema(
            mode="serialization", ref_template="#/components/schemas/{model}"
        )
        schemas |= {**event.pop("$defs"), "ExportEvent": event, **schemas}
        return made


def _all_answers(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for calls in document["paths"].values():
        for call in calls.values():
            yield call["responses"]


def _all_parameters(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for calls in document["paths"].values():
        for call in calls.values():
            yield from call.get("parameters", ())


def _leave_out_null(schema: dict[str, Any]) -> None:
    """Describe what may be left out of a query or of the headers: nothing in them can be null."""
    kept = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(kept) == 1:
        del schema["anyOf"]
        schema |= kept[0]


def _add_example(answer: dict[str, Any]) -> None:
    for content in answer.get("content", {}).values():
        _, _, name = content.get("schema", {}).get("$ref", "").rpartition("/")
        if name in _EXAMPLES:
            content["example"] = _EXAMPLES[name]
