"""Parameters of reports: a year, or a year and a month; columns; and a report's own parameters."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, TypeVar, cast

from annotated_types import Ge, Le
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    create_model,
)

from exports.errors import ParamsError, in_one_line, problems
from exports.reports.definition import Param
from exports.reports.described import ParamDescription
from exports.reports.periods import MAX_YEAR, MIN_YEAR
from exports.reports.values import MOST_VALUES, Value, normal, order_of, schema_of

_Params = TypeVar("_Params", bound=BaseModel)

_DIGITS: Final = re.compile(r"[0-9]{1,4}")
_MOST_CHOICES_SHOWN: Final = 20


def _whole_number(value: object) -> object:
    # The command line sends text. `True` is an int in Python, but not a year.
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is not a whole number")  # noqa: TRY004 -- pydantic expects a ValueError
    return value


_WholeNumber = BeforeValidator(_whole_number)


def _names(value: object) -> object:
    if value is None:
        return None
    # The command line sends text.
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list):
        raise ValueError("is not a list of column names")  # noqa: TRY004 -- same
    listed = cast("list[object]", names)
    if not listed or not all(isinstance(name, str) for name in listed):
        raise ValueError("is not a list of column names")
    if len(set(listed)) < len(listed):
        raise ValueError("names a column twice")
    return listed


ColumnNames = Annotated[list[str] | None, BeforeValidator(_names)]
"""Which columns of a report, in this order; None for all. In a text, commas separate them."""


class ReportParams(BaseModel):
    """Parameters of every report that is defined in TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: ColumnNames = None


class YearParams(ReportParams):
    """Parameters of a report of one year."""

    year: Annotated[int, _WholeNumber, Field(ge=MIN_YEAR, le=MAX_YEAR)]


class MonthParams(YearParams):
    """Parameters of a report of one month."""

    month: Annotated[int, _WholeNumber, Field(ge=1, le=12)]


def validate(model: type[_Params], params: object, *, report: str) -> _Params:
    """Return the parameters that a client sent as a model.

    Args:
        model: The model of the report's parameters.
        params: What the client sent.
        report: The report's type, for messages.

    Raises:
        ParamsError: They are not an object, or one is missing, unknown or wrong.
    """
    if not isinstance(params, dict):
        required = [
            field.alias or name for name, field in model.model_fields.items() if field.is_required()
        ]
        raise ParamsError(f"The parameters of {report} are an object with: {', '.join(required)}.")
    try:
        return model.model_validate(params)
    except ValidationError as error:
        found = problems(error.errors(include_url=False, include_context=False))
        raise ParamsError(
            f"The parameters of {report} are wrong: {in_one_line(found)}.", fields=found
        ) from None


def chosen(names: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    """Return the columns that a client chose, in that order; all columns if it chose none.

    Raises:
        ParamsError: There is no such column; the message lists the columns.
    """
    columns = list(known)
    if names is None:
        return columns
    if not set(names) <= set(columns):
        raise ParamsError(
            f"There is no column of that name; use some of: {', '.join(columns)}.",
            fields={"columns": "names one that does not exist"},
        )
    return list(names)


def with_own(base: type[_Params], own: Mapping[str, Param]) -> type[_Params]:
    """Return the model of a report's parameters with its own parameters added.

    Their values are in normal form, those of one that takes many sorted, each once.
    """
    fields: dict[str, Any] = {
        # Only the alias is seen. A parameter may have the name of a method of the model.
        f"own_{index}": (
            Annotated[Any, BeforeValidator(partial(_many if param.many else _one, param))],
            Field(... if param.required else None, alias=name),
        )
        for index, (name, param) in enumerate(own.items())
    }
    return create_model(base.__name__, __base__=base, **fields)


def _one(param: Param, value: object) -> Value:
    if isinstance(value, list):
        raise ValueError("takes one value only")  # noqa: TRY004 -- pydantic expects a ValueError
    found = normal(param.type, value)
    if param.choices is not None and found not in param.choices:
        raise ValueError(f"is not one of: {_listed(param.choices)}")
    return found


def _many(param: Param, value: object) -> list[Value]:
    # The command line sends text, and one value that is given once is no list there.
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list):
        raise ValueError("is not a list")  # noqa: TRY004 -- same
    listed = cast("list[object]", values)
    if not 0 < len(listed) <= MOST_VALUES:
        raise ValueError(f"is not a list of 1 to {MOST_VALUES} values")
    return sorted({_one(param, item) for item in listed}, key=partial(order_of, param.type))


def describe_own(own: Mapping[str, Param]) -> list[ParamDescription]:
    """Describe the parameters that the reports file defines, in order."""
    return [
        ParamDescription(
            name=name,
            type=param.type,
            required=param.required,
            values=_values_of(param),
            title=param.title,
            json_schema=_schema_of(param),
        )
        for name, param in own.items()
    ]


def _values_of(param: Param) -> str:
    choices = [] if param.choices is None else [f"one of: {_listed(param.choices)}"]
    return ", ".join([*choices, *(["may be given several times"] if param.many else [])])


def _schema_of(param: Param) -> dict[str, JsonValue]:
    one: dict[str, JsonValue] = (
        schema_of(param.type) if param.choices is None else {"enum": [*param.choices]}
    )
    if not param.many:
        return one
    return {"type": "array", "items": one, "minItems": 1, "maxItems": MOST_VALUES}


def _listed(choices: Sequence[Value]) -> str:
    shown = ", ".join(map(str, choices[:_MOST_CHOICES_SHOWN]))
    return shown if len(choices) <= _MOST_CHOICES_SHOWN else f"{shown}, ..."


def describe_numbers(params: type[YearParams]) -> list[ParamDescription]:
    """Describe the year, and the month if there is one."""
    found: list[ParamDescription] = []
    for name in ("year", "month"):
        if name in params.model_fields:
            low, high = _bounds(params.model_fields[name].metadata)
            found.append(
                ParamDescription(
                    name=name,
                    type="integer",
                    required=True,
                    values=f"{low} to {high}",
                    json_schema={"type": "integer", "minimum": low, "maximum": high},
                )
            )
    return found


def describe_columns(columns: Sequence[str]) -> ParamDescription:
    """Describe the parameter `columns`, which every report has.

    Args:
        columns: The names of the report's columns.
    """
    return ParamDescription(
        name="columns",
        type="list",
        required=False,
        values=f"some of: {', '.join(columns)}",
        json_schema={
            "type": "array",
            "items": {"enum": [*columns]},
            "minItems": 1,
            "uniqueItems": True,
        },
    )


def _bounds(metadata: list[object]) -> list[int]:
    low = [int(str(item.ge)) for item in metadata if isinstance(item, Ge)]
    high = [int(str(item.le)) for item in metadata if isinstance(item, Le)]
    return low + high
