"""Parameters of reports; of statistics reports: a year, or a year and a month."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, TypeVar, cast

from annotated_types import Ge, Le
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from exports.errors import ParamsError, explain
from exports.reports.periods import MAX_YEAR, MIN_YEAR

_Params = TypeVar("_Params", bound=BaseModel)

_DIGITS: Final = re.compile(r"[0-9]{1,4}")


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


class YearParams(BaseModel):
    """Parameters of a report of one year."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    year: Annotated[int, _WholeNumber, Field(ge=MIN_YEAR, le=MAX_YEAR)]
    columns: ColumnNames = None


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
        raise ParamsError(f"The parameters of {report} are wrong: {explain(error)}.") from None


def chosen(names: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    """Return the columns that a client chose, in that order; all columns if it chose none.

    Raises:
        ParamsError: There is no such column; the message lists the columns.
    """
    columns = list(known)
    if names is None:
        return columns
    if not set(names) <= set(columns):
        raise ParamsError(f"There is no column of that name; use some of: {', '.join(columns)}.")
    return list(names)


class ParamDescription(BaseModel):
    """A description of a parameter for people.

    Attributes:
        name: Its name.
        type: Its type: `integer`.
        required: Whether it is required.
        values: The values that are allowed: `1 to 12`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: str
    required: bool
    values: str


def describe(params: type[YearParams], columns: Sequence[str]) -> list[ParamDescription]:
    """Describe the parameters of a statistics report, in order.

    Args:
        params: The model of the parameters.
        columns: The names of the report's columns.
    """
    numbers = [name for name in ("year", "month") if name in params.model_fields]
    return [
        ParamDescription(
            name=name,
            type="integer",
            required=True,
            values=" to ".join(_bounds(params.model_fields[name].metadata)),
        )
        for name in numbers
    ] + [describe_columns(columns)]


def describe_columns(columns: Sequence[str]) -> ParamDescription:
    """Describe the parameter `columns`, which every report has.

    Args:
        columns: The names of the report's columns.
    """
    return ParamDescription(
        name="columns", type="list", required=False, values=f"some of: {', '.join(columns)}"
    )


def _bounds(metadata: list[object]) -> list[str]:
    low = [str(item.ge) for item in metadata if isinstance(item, Ge)]
    high = [str(item.le) for item in metadata if isinstance(item, Le)]
    return low + high
