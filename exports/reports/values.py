"""Values of a report's own parameters: what a client may send, and what MongoDB compares.

A value is checked and brought into a normal form, which is what the task stores. So it never holds
an operator or a field name, and two requests that mean the same are equal.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, cast
from zoneinfo import ZoneInfo

from bson import Decimal128
from pydantic import JsonValue

from exports.clock import from_epoch_ms
from exports.names import is_text
from exports.reports.periods import MAX_YEAR, MIN_YEAR, start_of_day
from exports.tables.plain import EXACT, plain

ParamType = Literal["text", "integer", "decimal", "boolean", "date"]
"""The types of parameters that the reports file can define."""
Value: TypeAlias = str | int | bool
"""A value in its normal form. A decimal and a date are texts: `12.5`, `2026-10-31`."""

FIRST_DAY: Final = date(MIN_YEAR, 1, 1)
LAST_DAY: Final = date(MAX_YEAR + 1, 1, 1)
MOST_VALUES: Final = 100
"""How many values a parameter takes at most."""
_LONGEST_TEXT: Final = 500
"""Characters."""
_INT64: Final = (-(2**63), 2**63 - 1)
"""BSON has no wider integers: https://bsonspec.org/spec.html."""
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
_DECIMAL: Final = "-?[0-9]{1,17}(\\.[0-9]{1,17})?"
"""As many digits as a Decimal128 holds: 34."""
_DATE: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_BOOLEANS: Final = {"true": True, "false": False}


def normal(kind: ParamType, value: object) -> Value:
    """Return the normal form of a value that a client sent.

    The command line sends every value as text.

    Raises:
        ValueError: It is not a value of this type. The message says what would be right.
    """
    return _NORMAL[kind](value)


def order_of(kind: ParamType, value: Value) -> Any:  # noqa: ANN401 -- of any type that has an order
    """Return what values of a type are sorted by."""
    return Decimal(value) if kind == "decimal" else value


def schema_of(kind: ParamType) -> dict[str, JsonValue]:
    """Return the JSON Schema of one value. The texts of the command line are not in it."""
    return dict(_SCHEMAS[kind])


def day(value: object) -> date:
    """Return the day that a text such as `2026-10-31` means.

    Raises:
        ValueError: It is not a day from 1970-01-01 to 9999-01-01.
    """
    if not isinstance(value, str) or not re.fullmatch(_DATE, value):
        raise ValueError("is not a date such as 2026-10-31")
    try:
        found = date.fromisoformat(value)
    except ValueError:
        raise ValueError("is not a day of the calendar") from None
    if not FIRST_DAY <= found <= LAST_DAY:
        raise ValueError(f"is not between {FIRST_DAY} and {LAST_DAY}")
    return found


def condition(
    kind: ParamType, path: str, values: Sequence[Value], zone: ZoneInfo
) -> dict[str, Any]:
    """Return the filter of the documents whose field has one of some values.

    Args:
        kind: The type of the parameter.
        path: Path of the field.
        values: The values, in normal form; at least one.
        zone: The time zone of days.
    """
    if kind == "date":
        days = [_of_day(path, date.fromisoformat(str(value)), zone) for value in values]
        return days[0] if len(days) == 1 else {"$or": days}
    equal = [number for value in values for number in _equal(kind, value)]
    return {path: {"$eq": equal[0]} if len(equal) == 1 else {"$in": equal}}


def _equal(kind: ParamType, value: Value) -> list[object]:
    """Return the values of BSON that are the value; all of MongoDB's numbers are compared exactly.

    A double is never exactly 0.1. So 0.1 also stands for the double that is written like that.
    """
    if kind != "decimal":
        return [value]
    exact = Decimal(value)
    nearest = float(exact)
    is_other = Decimal(nearest) != exact == Decimal(repr(nearest))
    return [Decimal128(exact), *([nearest] if is_other else [])]


def _of_day(path: str, wanted: date, zone: ZoneInfo) -> dict[str, Any]:
    start, end = (start_of_day(item, zone) for item in (wanted, wanted + timedelta(days=1)))
    # Of an array, one date could be after the start, and another before the end.
    is_one_date = {"$not": {"$type": "array"}}
    return {path: {"$gte": from_epoch_ms(start), "$lt": from_epoch_ms(end), **is_one_date}}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a text")  # noqa: TRY004 -- pydantic expects a ValueError
    if not 0 < len(value) <= _LONGEST_TEXT:
        raise ValueError(f"is not a text of 1 to {_LONGEST_TEXT} characters")
    if "\0" in value or not is_text(value):
        raise ValueError("has a character that no text can have")
    return value


def _integer(value: object) -> int:
    is_whole = isinstance(value, float) and value.is_integer()
    if is_whole or (isinstance(value, str) and _INTEGER.fullmatch(value)):
        value = int(cast("float | str", value))
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("is not a whole number")  # noqa: TRY004 -- same
    if not _INT64[0] <= value <= _INT64[1]:
        raise ValueError("is not a whole number of 64 bits")
    return value


def _decimal(value: object) -> str:
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        # A wider integer is refused too, and takes long to be written as text.
        value = plain(value) if abs(value) <= _INT64[1] else ""
    if not isinstance(value, str) or not re.fullmatch(_DECIMAL, value):
        raise ValueError("is not a number such as 12.50, with up to 17 digits before the point")
    return f"{Decimal(value).normalize(EXACT):f}" if Decimal(value) else "0"


def _boolean(value: object) -> bool:
    if isinstance(value, str):
        value = _BOOLEANS.get(value)
    if not isinstance(value, bool):
        raise ValueError("is not true or false")  # noqa: TRY004 -- same
    return value


def _date(value: object) -> str:
    return day(value).isoformat()


_NORMAL: Final[Mapping[ParamType, Callable[[object], Value]]] = {
    "text": _text,
    "integer": _integer,
    "decimal": _decimal,
    "boolean": _boolean,
    "date": _date,
}
_SCHEMAS: Final[Mapping[ParamType, Mapping[str, JsonValue]]] = {
    "text": {
        "type": "string",
        "minLength": 1,
        "maxLength": _LONGEST_TEXT,
        "pattern": r"^[^\u0000]*$",
    },
    "integer": {"type": "integer", "minimum": _INT64[0], "maximum": _INT64[1]},
    "decimal": {
        "anyOf": [
            {"type": "number", "exclusiveMinimum": -(10**17), "exclusiveMaximum": 10**17},
            {"type": "string", "pattern": f"^{_DECIMAL}$"},
        ]
    },
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date", "pattern": f"^{_DATE}$"},
}
