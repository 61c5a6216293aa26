"""The OpenAPI document, where it is not what FastAPI makes of the routes."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI

_ID: Final = "6720c1f0a1b2c3d4e5f60718"
_TASK: Final[dict[str, Any]] = {
    "id": _ID,
    "type": "statsMonthly",
    "params": {"year": 2026, "month": 10},
    "status": "running",
    "retries": 0,
    "maxRetries": 3,
    "createdBy": "u1",
    "createdAt": 1_793_000_000_000,
    "format": "xlsx",
    "progress": {"stage": "aggregate", "rows": 1200, "bytes": 0},
    "startedAt": 1_793_000_000_400,
}
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
    """FastAPI, with the errors of this API in place of its own, and with examples of answers."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, which is made once."""
        if self.openapi_schema is None:
            made = super().openapi()
            for answers in _all_answers(made):
                if "HTTPValidationError" in str(answers.get("422")):
                    del answers["422"]
                for answer in answers.values():
                    _add_example(answer)
            for name in ("HTTPValidationError", "ValidationError"):
                made["components"]["schemas"].pop(name, None)
        return super().openapi()


def _all_answers(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for calls in document["paths"].values():
        for call in calls.values():
            yield call["responses"]


def _add_example(answer: dict[str, Any]) -> None:
    for content in answer.get("content", {}).values():
        _, _, name = content["schema"].get("$ref", "").rpartition("/")
        if name in _EXAMPLES:
            content["example"] = _EXAMPLES[name]
