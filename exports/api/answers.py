"""What every answer looks like: `{"ok": true, "data"}` or `{"ok": false, "error"}`."""

from collections.abc import Mapping
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

_T = TypeVar("_T")


class Ok(BaseModel, Generic[_T]):
    """The answer to a call that did what it was asked to do."""

    # What an answer always has is required in its schema.
    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    ok: Literal[True] = True
    data: _T


class Problem(BaseModel):
    """Why a call was refused, or failed."""

    code: str = Field(description="Stable, for programs: see the table of error codes.")
    msg: str = Field(description="What is wrong and what would be right, for people.")
    retryable: bool = Field(description="Whether the same call may succeed later.")
    fields: dict[str, str] | None = Field(
        default=None, description="What is wrong with which field of the request, if it is that."
    )


class Failed(BaseModel):
    """The answer to a call that was refused, or failed."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    ok: Literal[False] = False
    error: Problem


def reply(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer whose status or headers depend on what it says."""
    content = Ok(data=data).model_dump_json(by_alias=True)
    return Response(content, status, headers, media_type="application/json")
