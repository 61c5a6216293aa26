"""Chooses the type of each field of a file, and converts its values to what MongoDB stores.

A field that a report reads has the type that the report needs. Every other field has the first
of the types of `_GUESSES` that fits all of its values.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from bson import Decimal128, ObjectId, json_util

from dev.rows import Problems, Row
from exports.reports.definition import FixedValue, StatsDefinition
from exports.reports.rows.definition import RowsDefinition

AnyDefinition = StatsDefinition | RowsDefinition
Types = tuple[str, ...]

_NUMBERS: Final[Types] = ("integer", "decimal", "number")  # decimal first: its sums are exact
_GUESSES: Final[Types] = (*_NUMBERS, "boolean", "datetime", "objectId", "text")
_GUESSED: Final = "a guess from its values"
_NUMBER: Final = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_DIGITS_THAT_ARE_TEXT: Final = re.compile(r"0\d|\+")  # a postcode, a phone number
_OBJECT_ID: Final = re.compile(r"[0-9a-fA-F]{24}")
_INT64: Final = range(-(2**63), 2**63)
_TIME_HELP: Final = (
    "is not a time such as 2026-10-31T15:04:05+08:00; for other times, give their format, "
    "for example TIME_FORMAT=%d/%m/%Y"
)
_REASONS: Final = {
    "integer": "is not an integer of 64 bits",
    "decimal": "is not a number of up to 34 digits, such as 12.50",
    "number": "is not a number",
    "boolean": "is not true or false",
    "datetime": _TIME_HELP,
    "date": _TIME_HELP,
    "id": "is not an ObjectId or a text",
    "json": "is not valid JSON",
}


@dataclass
class Field:
    """What is known about one field.

    Attributes:
        types: The types that fit all values so far, the best one first.
        chosen_by: What the type depends on, for people: `report sales`.
        values: How many values there are.
    """

    types: Types
    chosen_by: str
    values: int = 0

    @property
    def type(self) -> str:
        """The type of the field."""
        return self.types[0]


class FieldTypes:
    """The types of all fields of one file.

    Args:
        reports: The definitions of the reports that read the collection, by name.
        time_format: Format of times, as for `datetime.strptime`; None: ISO 8601.

    Attributes:
        fields: The fields that have been seen, by path.
        zone: Time zone of times without an offset.
    """

    def __init__(self, reports: Mapping[str, AnyDefinition], time_format: str | None) -> None:
        self.fields: dict[str, Field] = {}
        self.zone: Final = ZoneInfo(next((item.timezone for item in reports.values()), "UTC"))
        self._time_format = time_format
        self._convert: dict[str, Callable[[object], object]] = {
            "integer": _integer,
            "decimal": _decimal,
            "number": lambda value: float(_number(value)),
            "boolean": _boolean,
            "datetime": self._time,
            "date": self._time,
            "objectId": _object_id,
            "id": _id,
            "json": lambda value: json_util.loads(value) if isinstance(value, str) else value,
            "text": lambda value: value,
        }
        needs = [(*need, name) for name, item in reports.items() for need in _needs(item)]
        self._needed: dict[str, Field] = {}
        for _, path, types, name in sorted(needs, key=lambda need: need[0]):
            self._needed.setdefault(path, Field(types, f"report {name}"))
        self._time_fields = {item.time_field for item in reports.values()}

    def see(self, row: Row, problems: Problems) -> None:
        """Take the values of one row into account.

        Args:
            row: The row.
            problems: Gets the values that do not have the type that a report needs.
        """
        for path, value in row.values.items():
            field = self.fields.setdefault(path, self._new(path))
            field.values += 1
            if (
                field.chosen_by == _GUESSED
                and isinstance(value, str)
                and _DIGITS_THAT_ARE_TEXT.match(value)
            ):
                field.types = ("text",)
            fitting = tuple(name for name in field.types if self._fits(name, value))
            if fitting:
                field.types = fitting
            else:
                problems.add(row.line, f"{path} {_REASONS[field.types[-1]]}")

    def converted(self, row: Row) -> dict[str, object]:
        """Return the values of a row as MongoDB stores them; all rows have been seen before."""
        return {
            path: self._convert[self.fields[path].type](value) for path, value in row.values.items()
        }

    def missing(self, heading: list[str]) -> dict[str, str]:
        """Return the fields that reports read and the file does not have, and what reads them.

        Args:
            heading: Names of the columns; empty if the file has no heading. Then a field may be
                missing in some rows, or in all, except the one by which a report selects rows.
        """
        there = {*heading, *self.fields}
        return {
            path: field.chosen_by
            for path, field in self._needed.items()
            if path != "_id"
            and (heading or path in self._time_fields)
            and not any(name == path or name.startswith(f"{path}.") for name in there)
        }

    @property
    def times(self) -> list[str]:
        """The fields to index: those by which reports select rows; without reports, all times."""
        return [
            path
            for path, field in self.fields.items()
            if (path in self._time_fields if self._time_fields else field.type == "datetime")
        ]

    def _new(self, path: str) -> Field:
        needed = self._needed.get(path)
        types = needed.types if needed else _GUESSES
        return Field(types, needed.chosen_by if needed and types != _GUESSES else _GUESSED)

    def _fits(self, name: str, value: object) -> bool:
        try:
            self._convert[name](value)
        except (ValueError, TypeError, ArithmeticError):
            return False
        return True

    def _time(self, value: object) -> datetime:
        if isinstance(value, str):
            text = value.strip()
            value = (
                datetime.strptime(text, self._time_format)  # noqa: DTZ007 -- its zone is added below
                if self._time_format
                else datetime.fromisoformat(text)
            )
        if not isinstance(value, datetime):
            raise TypeError
        return (value if value.tzinfo else value.replace(tzinfo=self.zone)).astimezone(UTC)


def _needs(report: AnyDefinition) -> Iterator[tuple[int, str, Types]]:
    """Yield which types a report needs: rank (the lowest counts), path and types."""
    yield 0, report.time_field, ("datetime",)
    if report.owner_field:
        yield 1, report.owner_field, ("text",)
    for path, value in report.filter.items():
        yield 1, path, _types_like(value)
    if isinstance(report, RowsDefinition):
        for column in report.columns.values():
            # A number may be shown as text and added up by another report.
            yield 3 if column.type == "text" else 1, column.field, (column.type,)
        return
    for group in report.group_by.values():
        yield 4, group.field, _GUESSES
    for measure in report.measures.values():
        if measure.field and measure.op in ("sum", "avg"):
            yield 2, measure.field, _NUMBERS
        elif measure.field:
            yield 4, measure.field, _GUESSES


def _types_like(value: FixedValue) -> Types:
    match value:
        case bool():
            return ("boolean",)
        case int() | float():
            return _NUMBERS
        case datetime():
            return ("datetime",)
        case str():
            return ("text",)


def _number(value: object) -> int | float | Decimal:
    match value:
        case str() if _NUMBER.fullmatch(value.strip()):
            return Decimal(value.strip())
        case Decimal128():
            return value.to_decimal()
        case int() | float() if not isinstance(value, bool):
            return value
        case _:
            raise ValueError


def _integer(value: object) -> int:
    number = _number(value)
    whole = int(number)
    if whole != number or whole not in _INT64:
        raise ValueError
    return whole


def _decimal(value: object) -> Decimal128:
    number = Decimal(str(_number(value)))
    if not number.is_finite():
        raise ValueError
    return Decimal128(number)


def _boolean(value: object) -> bool:
    match value:
        case bool():
            return value
        case str() if value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        case _:
            raise ValueError


def _object_id(value: object) -> ObjectId:
    match value:
        case ObjectId():
            return value
        case str() if _OBJECT_ID.fullmatch(value):
            return ObjectId(value)
        case _:
            raise ValueError


def _id(value: object) -> ObjectId | str:
    return (
        value if isinstance(value, str) and not _OBJECT_ID.fullmatch(value) else _object_id(value)
    )
