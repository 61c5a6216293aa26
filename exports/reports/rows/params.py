"""Parameters of row-level reports: the first day, the day after the last, and columns."""

import re
from datetime import date
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from exports.reports.params import ColumnNames, ParamDescription, describe_columns
from exports.reports.periods import MAX_YEAR, MIN_YEAR

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FIRST: Final = date(MIN_YEAR, 1, 1)
_LAST: Final = date(MAX_YEAR + 1, 1, 1)


def _day(value: object) -> object:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError("is not a date such as 2026-10-31")
    try:
        day = date.fromisoformat(value)
    except ValueError:
        raise ValueError("is not a day of the calendar") from None
    if not _FIRST <= day <= _LAST:
        raise ValueError(f"is not between {_FIRST} and {_LAST}")
    return day


_Day = Annotated[date, BeforeValidator(_day)]


class RowsParams(BaseModel):
    """Parameters of a row-level report.

    Attributes:
        first: The first day, in the report's time zone.
        end: The day after the last one.
        columns: Which columns, in this order; None for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: Annotated[_Day, Field(alias="from")]
    end: Annotated[_Day, Field(alias="to")]
    columns: ColumnNames = None

    @model_validator(mode="after")
    def _check(self) -> "RowsParams":
        if self.first >= self.end:
            raise ValueError("`to` is not after `from`; it is the first day that is not exported")
        return self


def describe_rows(columns: list[str]) -> list[ParamDescription]:
    """Describe the parameters of a row-level report, in order."""
    days = f"{_FIRST} to {_LAST}"
    return [
        ParamDescription(name="from", type="date", required=True, values=days),
        ParamDescription(
            name="to",
            type="date",
            required=True,
            values=f"{days}, the first day that is not exported",
        ),
        describe_columns(columns),
    ]
