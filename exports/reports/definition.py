"""The definition of a report: what a `[reports.NAME]` table of the reports file says."""

import difflib
import zoneinfo
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_LONGEST_NAME: Final = 100
# Both are files of the system that hold no zone of the world.
_NO_ZONES: Final = frozenset({"Factory", "localtime"})
# BSON has no wider integers: https://bsonspec.org/spec.html
_LARGEST_INTEGER: Final = 2**63 - 1


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones() - _NO_ZONES)


def _check_zone(name: str) -> str:
    if name in _time_zones():
        return name
    close = difflib.get_close_matches(name, _time_zones(), n=1)
    hint = f" (did you mean {close[0]}?)" if close else "; use an IANA name such as Asia/Shanghai"
    raise ValueError(f"is not a time zone{hint}")


def _check_path(path: str) -> str:
    if "$" in path:
        raise ValueError("has a `$`; a field name is plain text, never an operator")
    if "\0" in path:
        raise ValueError("has a null byte; no field name can hold one")
    if not all(path.split(".")):
        raise ValueError("has an empty part; write a field name or a path such as buyer.name")
    return path


def _check_collection(name: str) -> str:
    if not name or "$" in name or "\0" in name:
        raise ValueError("is not the name of a collection; it is empty or has a `$` or a null byte")
    return name


def check_name(name: str) -> str:
    """Return a name or a title that people will read.

    Raises:
        ValueError: It is blank, too long, or has a character that can't be seen.
    """
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(
            f"is not a name; it has 1 to {_LONGEST_NAME} characters that can all be seen"
        )
    return name


def _check_fixed_value(value: object) -> object:
    match value:
        case str() | bool() | float():
            return value
        case int() if -_LARGEST_INTEGER <= value <= _LARGEST_INTEGER:
            return value
        case datetime() if value.tzinfo is not None:
            return value
        case datetime():
            raise ValueError("has no offset from UTC; write 2026-01-01T00:00:00+08:00")
        case dict():
            raise ValueError('is a table; a path into a document is quoted, as in "buyer.name"')
        case _:
            raise ValueError("is not text, a number, true, false or a date with time and offset")


def field_as_table(value: object) -> object:
    """Return the table that a bare field path is short for."""
    return {"field": value} if isinstance(value, str) else value


Name = Annotated[str, AfterValidator(check_name)]
FieldPath = Annotated[str, AfterValidator(_check_path)]
FixedValue = Annotated[str | bool | int | float | datetime, BeforeValidator(_check_fixed_value)]


class Table(BaseModel):
    """Base of the tables: strict, because a wrong type is a mistake to be shown."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class GroupBy(Table):
    """A field whose values rows are grouped by."""

    field: FieldPath
    title: Name | None = None


class Measure(Table):
    """A figure of each row.

    Attributes:
        op: What is done with the values of the field. `count` counts documents. `sum` and `avg`
            take numbers and leave out everything else. `count_distinct` leaves out null and
            missing values, as `COUNT(DISTINCT ...)` of SQL does.
        field: Path of the field; None for `count`.
        title: Heading of the column; its name if None.
    """

    op: Literal["count", "sum", "avg", "min", "max", "count_distinct"]
    field: FieldPath | None = None
    title: Name | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.op == "count" and self.field is not None:
            raise ValueError("counts documents and takes no field; leave `field` out")
        if self.op != "count" and self.field is None:
            raise ValueError(f"needs the `field` that {self.op} is taken of")
        return self

    @property
    def total(self) -> Literal["sum", "min", "max"] | None:
        """How the totals row combines it: averages and distinct counts do not add up."""
        match self.op:
            case "count" | "sum":
                return "sum"
            case "min" | "max":
                return self.op
            case "avg" | "count_distinct":
                return None


class Definition(Table):
    """Which documents a report is about.

    Attributes:
        collection: Collection or view that is read.
        time_field: Path of the field that holds a document's date, as a BSON date.
        timezone: IANA time zone of days and months.
        title: Title for people, in the file's name; the report's name if None.
        owner_field: Path of the field that holds whose document it is. Set, everyone gets only
            their own.
        filter: Fields that must have exactly this value.
    """

    collection: Annotated[str, AfterValidator(_check_collection)]
    time_field: FieldPath
    timezone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    title: Name | None = None
    owner_field: FieldPath | None = None
    filter: Mapping[FieldPath, FixedValue] = Field(default_factory=dict)


class StatsDefinition(Definition):
    """A statistics report.

    Attributes:
        kind: Tells it from other kinds of reports.
        period: `month` asks for year and month and gives a row per day, `year` asks for the year
            and gives a row per month.
        period_title: Heading of the first column.
        group_by: What rows are grouped by, by the names of the columns.
        measures: The figures of a row, by the names of the columns.
    """

    kind: Literal["stats"] = "stats"
    period: Literal["month", "year"]
    period_title: Name | None = None
    group_by: Mapping[Name, Annotated[GroupBy, BeforeValidator(field_as_table)]] = Field(
        default_factory=dict
    )
    measures: Annotated[Mapping[Name, Measure], Field(min_length=1)]

    @property
    def row_period(self) -> Literal["day", "month"]:
        """What one row stands for, and the name of its column."""
        return "day" if self.period == "month" else "month"
