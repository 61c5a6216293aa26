"""The definition of a report: the content of a `[reports.NAME]` table in the reports file."""

import difflib
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Final, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from exports.characters import can_mislead, is_blank
from exports.clock import time_zones
from exports.reports.values import ParamType, Value, normal
from exports.source.types import Consistency, GroupType, OnMismatch

_LONGEST_NAME: Final = 100
"""Characters of a name or a title."""
_LARGEST_INTEGER: Final = 2**63 - 1
"""BSON has no wider integers: https://bsonspec.org/spec.html."""
_PARAM_NAME: Final = re.compile("[A-Za-z][A-Za-z0-9_]{0,39}")
_PARAMS_OF_ALL: Final = frozenset({"year", "month", "from", "to", "columns"})


def _check_zone(name: str) -> str:
    if name in time_zones():
        return name
    close = difflib.get_close_matches(name, time_zones(), n=1)
    hint = f" (did you mean {close[0]}?)" if close else "; use an IANA name such as Asia/Shanghai"
    raise ValueError(f"is not a time zone{hint}")


def _check_path(path: str) -> str:
    if "$" in path:
        raise ValueError("has a `$`; a field name is plain text, never an operator")
    if "\0" in path:
        raise ValueError("has a null byte; a field name cannot have one")
    if not all(path.split(".")):
        raise ValueError("has an empty part; write a field name or a path such as buyer.name")
    return path


def _check_collection(name: str) -> str:
    if not name or "$" in name or "\0" in name:
        raise ValueError("is not the name of a collection; it is empty or has a `$` or a null byte")
    return name


def check_name(name: str) -> str:
    """Check a name or a title, and return it.

    Raises:
        ValueError: It is blank, too long, or has a character that can mislead.
    """
    if is_blank(name) or len(name) > _LONGEST_NAME:
        raise ValueError(
            f"is not a valid name; use 1 to {_LONGEST_NAME} characters, not only blank ones"
        )
    for character in filter(can_mislead, name):
        raise ValueError(
            f"is not a valid name; remove the character U+{ord(character):04X}, which is invisible "
            "or changes how the others are shown"
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
            raise ValueError('is a table; put a path into a document in quotes, as in "buyer.name"')
        case _:
            raise ValueError("is not a text, a number, true, false, or a date with time and offset")


def _check_param_name(name: str) -> str:
    if not _PARAM_NAME.fullmatch(name):
        raise ValueError(
            "is not a name of a parameter; use up to 40 letters of ASCII, digits and _, a letter "
            "first; a `title` may have any characters"
        )
    if name in _PARAMS_OF_ALL:
        raise ValueError("is a parameter that reports have anyway; choose another name")
    return name


def field_as_table(value: object) -> object:
    """Return the table that a field path alone stands for."""
    return {"field": value} if isinstance(value, str) else value


Name = Annotated[str, AfterValidator(check_name)]
FieldPath = Annotated[str, AfterValidator(_check_path)]
FixedValue = Annotated[str | bool | int | float | datetime, BeforeValidator(_check_fixed_value)]


class Table(BaseModel):
    """Base of the tables. It is strict: a value of another type is a mistake, not converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class GroupBy(Table):
    """A field whose values rows are grouped by.

    Attributes:
        field: Path of the field.
        title: Heading of the column; its name if None.
        type: The type that values must have, if `on_mismatch` is `fail` or `null`.
        on_mismatch: What happens to values of other types. `text`: nothing; but if the values have
            no type in common, numbers and dates are shown as text, which is counted in the
            warnings. `fail`: the export fails. `null`: they count as no value, which is counted.
    """

    field: FieldPath
    title: Name | None = None
    type: GroupType | None = None
    on_mismatch: OnMismatch = "text"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.type is None and self.on_mismatch != "text":
            raise ValueError("has no type; add the `type` that values must have, such as text")
        if self.type is not None and self.on_mismatch == "text":
            raise ValueError(
                'has a type, but takes values of every type; use `on_mismatch` "fail" or "null"'
            )
        return self


class Measure(Table):
    """A figure in each row.

    Attributes:
        op: What is computed. `count` counts documents. `count_distinct` ignores null and missing
            values, like `COUNT(DISTINCT ...)` of SQL.
        field: Path of the field; None for `count`.
        title: Heading of the column; its name if None.
        type: The type of the values. Only `min` and `max` are computed of dates.
        on_mismatch: What happens to values of other types. `null`: they are left out, which is
            counted in the warnings. `fail`: the export fails. `text`, for `min` and `max`: values
            of all types are compared, in MongoDB's order; if the figures have no type in common,
            numbers and dates are shown as text, which is counted. `count` and `count_distinct`
            count values of every type.
    """

    op: Literal["count", "sum", "avg", "min", "max", "count_distinct"]
    field: FieldPath | None = None
    title: Name | None = None
    type: Literal["number", "datetime"] = "number"
    on_mismatch: OnMismatch = "null"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.op == "count" and self.field is not None:
            raise ValueError("counts documents and has no field; remove `field`")
        if self.op != "count" and self.field is None:
            raise ValueError(f"has no field; add the `field` whose {self.op} is computed")
        if self.op in ("count", "count_distinct") and self.on_mismatch != "null":
            raise ValueError("counts values of every type; remove `on_mismatch`")
        if self.op in ("sum", "avg") and self.on_mismatch == "text":
            raise ValueError(
                f'is a {self.op}, which texts do not have; use `on_mismatch` "fail" or "null"'
            )
        if self.type != "number" and self.op not in ("min", "max"):
            raise ValueError(f"has the type {self.type}; only min and max have a `type`")
        if self.type != "number" and self.on_mismatch == "text":
            raise ValueError(
                'has a type, but takes values of every type; use `on_mismatch` "fail" or "null"'
            )
        return self

    @property
    def checked_type(self) -> Literal["number", "datetime"] | None:
        """The type that values must have; None if those of every type are taken."""
        every = self.op in ("count", "count_distinct") or self.on_mismatch == "text"
        return None if every else self.type

    @property
    def total(self) -> Literal["sum", "min", "max"] | None:
        """How the totals row combines it; None for averages and distinct counts."""
        match self.op:
            case "count" | "sum":
                return "sum"
            case "min" | "max":
                return self.op
            case "avg" | "count_distinct":
                return None


class Quota(Table):
    """How many exports of a report one person may have; 0 for no limit.

    Attributes:
        open: That have not ended.
        per_day: That were asked for on one day, in UTC.
    """

    open: Annotated[int, Field(ge=0)] = 0
    per_day: Annotated[int, Field(ge=0)] = 0


class Param(Table):
    """A parameter of the report: only documents whose field has the value that is asked for.

    Attributes:
        field: Path of the field.
        type: The type of the values. A date is a day in the report's time zone, and matches all
            times of that day.
        title: Its title for people; its name if None.
        choices: The values that may be asked for; None for all.
        many: Whether several values may be asked for at once.
        required: Whether a request without it is refused.
    """

    field: FieldPath
    type: ParamType = "text"
    title: Name | None = None
    choices: Annotated[list[Value], Field(min_length=1)] | None = None
    many: bool = False
    required: bool = False

    @field_validator("choices", mode="before")
    @classmethod
    def _check_choices(cls, choices: object, info: ValidationInfo) -> object:
        kind: ParamType | None = info.data.get("type")
        if not isinstance(choices, list):
            return choices
        listed = cast("list[object]", choices)
        if kind is None:  # which is a mistake of its own
            return listed
        if kind == "boolean":
            raise ValueError("are true and false anyway; remove `choices`")
        # TOML has dates of its own.
        given = [str(item) if isinstance(item, date) else item for item in listed]
        found: list[Value] = []
        for index, item in enumerate(given, start=1):
            try:
                found.append(normal(kind, item))
            except ValueError as error:
                raise ValueError(f"has a wrong value, number {index}, which {error}") from None
        if len(set(found)) < len(found):
            raise ValueError("has a value twice")
        return found


class Definition(Table):
    """Which documents a report is about.

    Attributes:
        collection: Collection or view that is read.
        time_field: Path of the field that holds a document's date, as a BSON date.
        timezone: IANA time zone of days and months.
        title: Title for people; the report's name if None.
        file_name: How the names of its files begin; its title if None.
        owner_field: Path of the field with the owner of a document. If it is set, each user gets
            only their own documents.
        filter: Fields that must have exactly these values.
        consistency: `causal`: all units see at least what was there when the export began.
            `snapshot`: all units see exactly what was there then, which needs a replica set of
            MongoDB 5.0 or newer, and ends with its history (5 minutes, unless it keeps more).
        quota: How many exports one person may have. It changes no row, so it is not a part of the
            fingerprint.
        params: Parameters of its own, by their names.
        max_rows: Most rows of a file; an export that would have more fails. None for no limit.
        about: Whether an xlsx file has a last sheet that says what the export is. The plan of an
            export has these two and the name of its file; they are not a part of the fingerprint
            either.
    """

    collection: Annotated[str, AfterValidator(_check_collection)]
    time_field: FieldPath
    timezone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    title: Name | None = None
    file_name: Name | None = Field(default=None, exclude=True)
    owner_field: FieldPath | None = None
    filter: Mapping[FieldPath, FixedValue] = Field(default_factory=dict)
    consistency: Consistency = "causal"
    quota: Quota = Field(default=Quota(), exclude=True)
    params: Mapping[Annotated[str, AfterValidator(_check_param_name)], Param] = Field(
        default_factory=dict
    )
    max_rows: Annotated[int, Field(ge=1)] | None = Field(default=None, exclude=True)
    about: bool = Field(default=True, exclude=True)


class StatsDefinition(Definition):
    """A statistics report.

    Attributes:
        kind: The kind of report.
        period: `month` has the parameters year and month and gives a row per day; `year` has the
            parameter year and gives a row per month.
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
        """The period of one row, which is also the name of its column."""
        return "day" if self.period == "month" else "month"
