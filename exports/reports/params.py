"""What a client says about a statistics export: its year, or its year and month; and columns."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, cast

from annotated_types import Ge, Le
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from exports.errors import ParamsError
from exports.reports.periods import MAX_YEAR, MIN_YEAR

_DIGITS: Final = re.compile(r"[0-9]{1,4}")


def _whole_number(value: object) -> object:
    # A command line sends text. `True` is an int to Python, but no year.
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("is not a whole number")  # noqa: TRY004 -- pydantic turns it into its own
    return value


_WholeNumber = BeforeValidator(_whole_number)


def _names(value: object) -> object:
    if value is None:
        return None
    # A command line sends text.
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
"""Which columns of a report, in which order; None for all. A text has commas between them."""


class YearParams(BaseModel):
    """Parameters of a report of one year."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    year: Annotated[int, _WholeNumber, Field(ge=MIN_YEAR, le=MAX_YEAR)]
    columns: ColumnNames = None


class MonthParams(YearParams):
    """Parameters of a report of one month."""

    month: Annotated[int, _WholeNumber, Field(ge=1, le=12)]


def chosen(names: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    """Return the columns that were asked for, in that order; all there are if none were.

    Raises:
        ParamsError: There is no such column; the message lists those there are.
    """
    there = list(known)
    if names is None:
        return there
    if not set(names) <= set(there):
        raise ParamsError(f"There is no column of that name; use some of: {', '.join(there)}.")
    return list(names)


class ParamDescription(BaseModel):
    """One parameter, for people.

    Attributes:
        name: Its name.
        type: What it is: `integer`.
        required: Whether it has to be given.
        values: Which values it may have: `1 to 12`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    type: str
    required: bool
    values: str


def describe(params: type[YearParams], columns: Sequence[str]) -> list[ParamDescription]:
    """Describe the parameters of a statistics report, in order.

    Args:
        params: The parameters.
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
    """Describe the parameter that every report has.

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
