"""The OpenAPI document, where it is not what FastAPI makes of the routes."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from fastapi import FastAPI

from exports.formats import FORMATS
from exports.models import DEFAULT_FORMAT, Stage, TaskStatus
from exports.reports.report import Report
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
    """FastAPI, whose document has our errors, examples of answers, and the reports.

    `state.parts` has the client, with the reports.
    """

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, which is made once."""
        if self.openapi_schema is None:
            made = super().openapi()
            for answers in _all_answers(made):
                if "HTTPValidationError" in str(answers.get("422")):
                    del answers["422"]
                for answer in answers.values():
                    _add_example(answer)
            schemas = made["components"]["schemas"]
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            schemas["NewExport"] = _new_export(self.state.parts.client.reports)
        return super().openapi()


def _new_export(reports: Iterable[Report]) -> dict[str, Any]:
    """Return the schema of a request for an export: one for each report."""
    examples = [
        {"type": report.type, "params": params, "format": DEFAULT_FORMAT}
        for report in reports
        if (params := report.example_params()) is not None
    ]
    return {
        "title": "NewExport",
        "oneOf": [_new_export_of(report) for report in reports],
        "examples": examples[:1],
    }


def _new_export_of(report: Report) -> dict[str, Any]:
    params: dict[str, Any] = {**report.params_schema()}
    params.pop("$schema", None)
    params["properties"] = {**params["properties"]}
    columns = params["properties"].pop("columns", {"type": "array", "items": {"type": "string"}})
    return {
        "title": report.title,
        "type": "object",
        "properties": {
            "type": {"const": report.type},
            "params": params,
            "format": {"enum": sorted(FORMATS), "default": DEFAULT_FORMAT},
            "columns": columns,
        },
        "required": ["type", *(["params"] if params["required"] else [])],
        "additionalProperties": False,
    }


def _all_answers(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for calls in document["paths"].values():
        for call in calls.values():
            yield call["responses"]


def _add_example(answer: dict[str, Any]) -> None:
    for content in answer.get("content", {}).values():
        _, _, name = content["schema"].get("$ref", "").rpartition("/")
        if name in _EXAMPLES:
            content["example"] = _EXAMPLES[name]
