"""Exact running totals: the total below the rows is the total of the rows."""

import math
from datetime import date
from decimal import Context, Decimal, Inexact
from fractions import Fraction
from typing import Any, Final, Literal, Protocol

import pyarrow as pa

from exports.tables.arrow import is_number

# The widest Arrow decimal has 76 digits, and no number of rows adds a hundred more. If it ever
# did, the addition would fail, not round.
_EXACT: Final = Context(prec=200, traps=[Inexact])


class Total(Protocol):
    """Combines the values of a column, one after another."""

    def add(self, value: object) -> None:
        """Add a value. All values have the type of the column; None is not allowed.

        Raises:
            TypeError: Values of this type can't be combined.
        """
        ...

    @property
    def value(self) -> int | float | Decimal | date | None:
        """The total so far; None if nothing was added."""
        ...


def total_of(how: Literal["sum", "min", "max"] | None, kind: pa.DataType) -> Total | None:
    """Return an empty total for a column.

    Args:
        how: How the values are combined; None for a column that has no total.
        kind: The column's Arrow type.

    Returns:
        None if there is nothing to combine. That includes a column that became text because its
        values have no type in common.
    """
    if how == "sum":
        return Sum() if is_number(kind) else None
    if how is None or not (
        is_number(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    ):
        return None
    return Extreme(how)


class Sum:
    """Adds integers, decimals or floats, without rounding before the end."""

    def __init__(self) -> None:
        self._sum: int | Decimal | Fraction | None = None
        self._not_finite: float | None = None

    def add(self, value: object) -> None:
        """Add a number; see `Total.add`."""
        match value:
            case Decimal():
                before = self._sum if isinstance(self._sum, Decimal) else Decimal(0)
                self._sum = _EXACT.add(before, value)
            case int():
                self._sum = value + (self._sum if isinstance(self._sum, int) else 0)
            case float() if math.isfinite(value):
                fraction = self._sum if isinstance(self._sum, Fraction) else Fraction(0)
                self._sum = fraction + Fraction(value)
            case float():
                self._not_finite = value if self._not_finite is None else self._not_finite + value
            case _:
                raise TypeError(f"A {type(value).__name__} can't be added.")

    @property
    def value(self) -> int | float | Decimal | None:
        """The sum. A sum of floats is the nearest float; NaN or infinite if one of them is."""
        if self._not_finite is not None:
            return self._not_finite
        if not isinstance(self._sum, Fraction):
            return self._sum
        try:
            return float(self._sum)
        except OverflowError:
            return math.copysign(math.inf, self._sum)


class Extreme:
    """Keeps the smallest or the largest value; NaN if one value is NaN."""

    def __init__(self, how: Literal["min", "max"]) -> None:
        self._pick = min if how == "min" else max
        self._value: Any = None  # of any type that has an order

    def add(self, value: object) -> None:
        """Compare a number, a date or a time; see `Total.add`."""
        if not isinstance(value, int | float | Decimal | date):
            raise TypeError(f"A {type(value).__name__} can't be compared.")
        if self._value is None or _is_nan(value):
            self._value = value
        elif not _is_nan(self._value):
            self._value = self._pick(self._value, value)

    @property
    def value(self) -> int | float | Decimal | date | None:
        """The smallest or largest value; None if nothing was added."""
        value: int | float | Decimal | date | None = self._value
        return value


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
