"""Parameters as people and programs are told of them; imports nothing that loads slowly."""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

_SCHEMAS: Final[Mapping[str, Mapping[str, JsonValue]]] = {
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "text": {"type": "string"},
    "date": {"type": "string", "format": "date"},
    "list": {"type": "array"},
}
"""What is known of the values of a parameter by its type alone."""


def shown(value: JsonValue) -> str:
    """Return the value of a parameter for people: `north, south`."""
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class ParamDescription(BaseModel):
    """A description of a parameter for people.

    Attributes:
        name: Its name.
        type: Its type: `integer`.
        required: Whether it is required.
        values: The values that are allowed: `1 to 12`.
        title: Its title; its name if None.
        json_schema: The JSON Schema of its values; None if there is none but that of its type. It
            is shown as a part of `Report.params_schema`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: str
    required: bool
    values: str
    title: str | None = None
    json_schema: dict[str, JsonValue] | None = Field(default=None, exclude=True)


def schema_of_params(params: Sequence[ParamDescription]) -> dict[str, JsonValue]:
    """Return the JSON Schema, draft 2020-12, of an object of parameters."""
    properties: dict[str, JsonValue] = {
        param.name: {
            **(_SCHEMAS.get(param.type, {}) if param.json_schema is None else param.json_schema),
            "title": param.title or param.name,
            "description": param.values,
        }
        for param in params
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": [param.name for param in params if param.required],
        "additionalProperties": False,
    }
