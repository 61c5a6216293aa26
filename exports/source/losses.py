"""Finds out whether pymongoarrow changed values that do not have the type of their column.

It refuses most of them, but some it changes silently:

- a double in a column of integers is truncated, and a boolean among numbers becomes 0 or 1,
- a long in a column of doubles is rounded,
- a NaN in any column becomes null.

So the query gives each field a name that shows in the raw bytes which values were there. A BSON
element is a byte for its type, then its name, then its value (https://bsonspec.org/spec.html), so
each double in a field `int0` begins with the bytes `01 i n t`. If these bytes do not occur, there
is no double. If they do, they may be part of another value; then the batch is decoded the slow way
without need, but never wrongly.

For NaN among doubles, elements are counted. The number of byte sequences that look like doubles,
integers or longs is at least the number of such elements. If there is no boolean, each of these
elements became a value or was NaN. So if there are no more of them than values, none was NaN.

Searching the bytes takes about 0.1 s for a million rows of 180 bytes; decoding them takes 1 s.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from exports.source.arrays import valid
from exports.tables.arrow import AnyArray

# Four bytes with the type's byte before them: they seldom occur inside of a value.
INTEGERS: Final = "int"
"""The names of integer fields begin with this, and no others."""
DOUBLES: Final = "dbl"
"""The names of fields of doubles begin with this, and no others."""
KEY: Final = "key"
"""The name of the `_id` field begins with this, for every type of id."""
OTHERS: Final = "any"
"""The names of all other fields begin with this."""

_PREFIX: Final = 3  # characters of each of these
_DOUBLE, _BOOLEAN, _INT, _LONG = b"\x01", b"\x08", b"\x10", b"\x12"
_FIRST_INEXACT: Final = 2**53


def nothing_lost(raw: bytes, found: Mapping[str, AnyArray]) -> bool:
    """Whether pymongoarrow decoded every value of a batch without a change.

    Args:
        raw: The batch.
        found: The decoded columns, by the names of the fields.

    Returns:
        False also if it is not certain.
    """
    integers = {name[:_PREFIX] for name, column in found.items() if column.type == pa.int64()}
    if any(_seen(raw, kind, prefix) for prefix in integers for kind in (_DOUBLE, _BOOLEAN)):
        return False
    doubles = [column for column in found.values() if column.type == pa.float64()]
    if doubles and not _doubles_kept(raw, doubles):
        return False
    # If every row of a column has a value, no NaN was lost.
    others = {
        name[:_PREFIX]
        for name, column in found.items()
        if column.null_count and column.type not in (pa.int64(), pa.float64())
    }
    return not any(_seen(raw, _DOUBLE, prefix) for prefix in others)


def _doubles_kept(raw: bytes, columns: list[AnyArray]) -> bool:
    if _seen(raw, _BOOLEAN, DOUBLES):
        return False
    longs = _seen(raw, _LONG, DOUBLES)
    if longs and any(_may_be_rounded(column) for column in columns):
        return False
    if not any(column.null_count for column in columns):
        return True
    elements = longs + _seen(raw, _DOUBLE, DOUBLES) + _seen(raw, _INT, DOUBLES)
    return elements == sum(len(column) - column.null_count for column in columns)


def _may_be_rounded(column: AnyArray) -> bool:
    values = column.to_numpy(zero_copy_only=False)[valid(column)]
    return bool((np.abs(values) >= _FIRST_INEXACT).any())


def _seen(raw: bytes, kind: bytes, prefix: str) -> int:
    return raw.count(kind + prefix.encode())
