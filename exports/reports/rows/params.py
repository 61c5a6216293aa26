"""Parameters of row-level reports: the first day, the day after the last, and columns."""

from datetime import date
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from exports.reports.described import ParamDescription
from exports.reports.params import ReportParams
from exports.reports.values import FIRST_DAY, LAST_DAY, day, schema_of

_Day = Annotated[date, BeforeValidator(day)]


class RowsParams(ReportParams):
    """Parameters of a row-level report.

    Attributes:
        first: The first day, in the report's time zone.
        end: The day after the last one.
        columns: Which columns, in this order; None for all.
    """

    first: Annotated[_Day, Field(alias="from")]
    end: Annotated[_Day, Field(alias="to")]

    @model_validator(mode="after")
    def _check(self) -> "RowsParams":
        if self.first >= self.end:
            raise ValueError("`to` is not after `from`; it is the first day that is not exported")
        return self


def describe_period() -> list[ParamDescription]:
    """Describe the first day and the day after the last one."""
    days = f"{FIRST_DAY} to {LAST_DAY}"
    end = f"{days}, the first day that is not exported"
    day_schema = schema_of("date")
    return [
        ParamDescription(
            name=name, type="date", required=True, values=values, json_schema=json_schema
        )
        for name, values, json_schema in (
            ("from", days, day_schema),
            ("to", end, {**day_schema, "x-exclusive": True}),
        )
    ]
