"""Warnings: what was changed in values that did not fit, and what could not be promised."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from pydantic import BaseModel, ConfigDict

MISMATCH_TEXT: Final = "W_MISMATCH_TEXT"
"""Rows: a value did not have the type of its column, so the whole column became text.

Statistics: a number or a date is text, because no other type holds all values of its column.
"""
MISMATCH_NULL: Final = "W_MISMATCH_NULL"
"""A value did not have the type of its column and was left out."""
NOT_FINITE: Final = "W_NOT_FINITE"
"""A figure is NaN or infinite."""
TEXT_CUT: Final = "W_TEXT_CUT"
"""A text was longer than the format allows and was cut."""
NOT_FROZEN: Final = "W_NOT_FROZEN"
"""Rows: an export was read in several units, and what was inserted meanwhile is in some of them.

Its `column` is what was read (`a view`, `a time series`), or `_id` if the greatest one of the
collection is not an ObjectId. Its `count` is the number of units that were read after the first.
"""


class TaskWarning(BaseModel):
    """Values of a column that did not fit and were changed, or units that are not frozen.

    Attributes:
        code: What was done to them: one of the codes of this module, which are stable.
        column: Name of the column.
        count: How many values.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    column: str
    count: int


class WarningCounts:
    """Adds up warnings.

    Args:
        before: Warnings of earlier steps.
    """

    def __init__(self, before: Iterable[TaskWarning] = ()) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self.add_all(before)

    def add(self, code: str, column: str, count: int = 1) -> None:
        """Count values of a column."""
        if count:
            self._counts[code, column] += count

    def add_all(self, warnings: Iterable[TaskWarning]) -> None:
        """Add the warnings of another step."""
        for warning in warnings:
            self.add(warning.code, warning.column, warning.count)

    @property
    def warnings(self) -> list[TaskWarning]:
        """One warning per code and column, in a fixed order."""
        return [
            TaskWarning(code=code, column=column, count=count)
            for (code, column), count in sorted(self._counts.items())
        ]
