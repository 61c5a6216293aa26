"""Notices what pymongoarrow changes in values that have not the type of their column.

It refuses most of them, but silently

- truncates a double in a column of integers, and makes 0 or 1 of a boolean among numbers,
- rounds a long in a column of doubles,
- makes null of a NaN, whatever the column is.

So fields have names of our own on the wire, by which the raw bytes tell what was there. A BSON
element is a byte for its type, its name and its value (https://bsonspec.org/spec.html), and each
double in a field `int0` begins with the bytes `01 i n t`. If they do not occur, there is none. If
they do, it may be the inside of some other value; then the batch is decoded the slow way for
nothing, but never wrongly.

For NaN among doubles, elements are counted. Those that look like doubles, integers or longs are
at least as many as there are. Once it is sure that there is no boolean, each that there is has
become a value, or was NaN. So if there are no more of them than values, none was NaN.

One look at the bytes takes about 0.1 s for a million rows of 180 bytes, where decoding takes 1 s.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from exports.source.arrays import valid
from exports.tables.arrow import AnyArray

# With the byte of the type before them, four bytes: seldom inside of a value.
INTEGERS: Final = "int"
"""Names of integer fields begin with this, and no others."""
DOUBLES: Final = "dbl"
"""Names of fields of doubles begin with this, and no others."""
KEY: Final = "key"
"""The name of the `_id` begins with this, whatever it is read as."""
OTHERS: Final = "any"
"""Names of all other fields begin with this."""

_PREFIX: Final = 3
_DOUBLE, _BOOLEAN, _INT, _LONG = b"\x01", b"\x08", b"\x10", b"\x12"
_FIRST_INEXACT: Final = 2**53


def nothing_lost(raw: bytes, found: Mapping[str, AnyArray]) -> bool:
    """Whether pymongoarrow gave every value of a batch as it was.

    Args:
        raw: The batch.
        found: What it made of it, by the names of the fields.

    Returns:
        False also where it can't be told.
    """
    integers = {name[:_PREFIX] for name, column in found.items() if column.type == pa.int64()}
    if any(_seen(raw, kind, prefix) for prefix in integers for kind in (_DOUBLE, _BOOLEAN)):
        return False
    doubles = [column for column in found.values() if column.type == pa.float64()]
    if doubles and not _doubles_kept(raw, doubles):
        return False
    # Where every row has a value, no NaN was lost, and there is nothing to look for.
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
