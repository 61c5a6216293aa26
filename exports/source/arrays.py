"""Makes Arrow columns of the fields of a batch, without a loop over its documents."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from bson import Decimal128

from exports.clock import epoch_ms
from exports.source.batch import (
    BOOLEAN,
    DATE,
    DECIMAL128,
    DOUBLE,
    INT32,
    INT64,
    OBJECT_ID,
    STRING,
    Batch,
    Bools,
    Bytes,
    Element,
    Int64s,
)
from exports.source.values import Mismatch, Rule
from exports.tables.arrow import DECIMAL128_DIGITS, AnyArray
from exports.tables.local_times import local_times
from exports.tables.plain import EXACT

if TYPE_CHECKING:
    from decimal import Decimal

OBJECT_ID_BYTES: Final = 12
_HEX_DIGITS: Final = 2 * OBJECT_ID_BYTES
_INTEGERS: Final = {INT32: "<i4", INT64: "<i8"}
_LAST_EXACT: Final = 2**53
"""Up to here, a double holds every integer exactly."""
# Two days from where `datetime` ends, so that no offset from UTC leads out of it.
_FIRST_MS: Final = epoch_ms(datetime(1, 1, 3, tzinfo=UTC))
_LAST_MS: Final = epoch_ms(datetime(9999, 12, 29, tzinfo=UTC))

# The binary form of a Decimal128 has 1 bit of sign, 14 of exponent and 113 of coefficient, unless
# both bits after the sign are set: https://speleotrove.com/decimal/decbits.html
_SIGN_BIT: Final = np.uint64(63)
_FORM_BITS: Final = np.uint64(61)
_EXPONENT_BITS: Final = np.uint64(49)
_EXPONENT_MASK: Final = np.uint64(0x3FFF)
_HIGH_MASK: Final = np.uint64((1 << 49) - 1)
_BIAS: Final = 6176  # added to the exponent when it is stored
_POWERS: Final = np.array([10**power for power in range(19)], np.int64)
_INT64_MAX: Final = np.iinfo(np.int64).max


def integers(batch: Batch, element: Element) -> AnyArray:
    """Return integers of both sizes.

    Raises:
        Mismatch: There are other values. All functions here that return a column raise it.
    """
    _check(element, INT32, INT64)
    return _array(pa.int64(), batch.values(element, _INTEGERS, "i8"), element.there)


def doubles(batch: Batch, element: Element) -> AnyArray:
    """Return doubles, and integers that a double holds exactly."""
    _check(element, DOUBLE, INT32, INT64)
    if (np.abs(batch.values(element, {INT64: "<i8"}, "i8")) > _LAST_EXACT).any():
        raise Mismatch
    return _array(
        pa.float64(), batch.values(element, {DOUBLE: "<f8", **_INTEGERS}, "f8"), element.there
    )


def booleans(batch: Batch, element: Element) -> AnyArray:
    """Return booleans."""
    _check(element, BOOLEAN)
    values = batch.values(element, {BOOLEAN: "u1"}, "u1")
    return pa.array(values.astype(np.bool_), mask=~element.there)


def texts_or_ids(batch: Batch, element: Element) -> AnyArray:
    """Return texts; or ObjectIds as texts of hexadecimal digits, if all values are ObjectIds."""
    if element.has_only(OBJECT_ID):
        return _hexadecimal(object_ids(batch, element), element.there)
    return texts(batch, element)


def texts(batch: Batch, element: Element) -> AnyArray:
    """Return texts in UTF-8."""
    _check(element, STRING)
    there = element.there
    # A text begins after its length, which counts the zero byte at its end.
    lengths = batch.values(element, {STRING: "<i4"}, "i8") - there
    if (lengths < 0).any():
        raise Mismatch
    starts = element.places + 4 * there
    # All texts, and between two of them what stands there in the batch. Then every second is taken.
    bounds = np.column_stack((starts, starts + lengths)).astype(np.int32)
    both = pa.Array.from_buffers(
        pa.string(), 2 * len(there) - 1, [None, buffer_of(bounds), pa.py_buffer(batch.raw)]
    )
    every_second = np.arange(0, 2 * len(there), 2)
    found = both.take(pa.array(every_second, pa.int64(), mask=~there))
    try:
        found.validate(full=True)
    except pa.ArrowInvalid:
        raise Mismatch from None
    return found


def instants(batch: Batch, element: Element, zone: ZoneInfo) -> AnyArray:
    """Return dates as instants that are shown in a time zone, if its calendar has all of them."""
    _check(element, DATE)
    values, there = milliseconds(batch, element), element.there
    known = values[there]
    if len(known) and (known.min() < _FIRST_MS or known.max() > _LAST_MS):
        raise Mismatch
    return _array(pa.timestamp("ms", tz=zone.key), values, there)


def days(batch: Batch, element: Element, zone: ZoneInfo) -> AnyArray:
    """Return the local day of each date, if the calendar of the zone has all of them."""
    return local_times(instants(batch, element, zone)).cast(pa.date32())


def milliseconds(batch: Batch, element: Element) -> Int64s:
    """Return dates in epoch milliseconds."""
    return batch.values(element, {DATE: "<i8"}, "i8")


def object_ids(batch: Batch, element: Element) -> Bytes:
    """Return ObjectIds, as a row of bytes each."""
    kind = f"V{OBJECT_ID_BYTES}"
    return (
        batch.values(element, {OBJECT_ID: kind}, kind).view(np.uint8).reshape(-1, OBJECT_ID_BYTES)
    )


def buffer_of(values: "npt.NDArray[Any]") -> pa.Buffer:
    """Return the memory of contiguous values."""
    return pa.py_buffer(cast("bytes", values))  # the stubs do not know that arrays are buffers


def decimals(batch: Batch, element: Element, scale: int, exact: Rule) -> AnyArray:
    """Return Decimal128 values as an Arrow decimal.

    Args:
        batch: The batch.
        element: The field.
        scale: Its decimal places.
        exact: The rule for the few values whose coefficient has more than 18 digits or so.

    Raises:
        Mismatch: A value does not fit.
    """
    _check(element, DECIMAL128)
    there = element.there
    words = batch.values(element, {DECIMAL128: "V16"}, "V16").view("<u8").reshape(-1, 2)
    low, high = words[:, 0], words[:, 1]
    exponent = ((high >> _EXPONENT_BITS) & _EXPONENT_MASK).astype(np.int64) - _BIAS
    shift = exponent + scale
    magnitude = low.astype(np.int64)  # negative from 2**63 on
    up = _POWERS[np.clip(shift, 0, 18)]
    down = _POWERS[np.clip(-shift, 0, 18)]
    simple = (
        there
        & ((high >> _FORM_BITS) & np.uint64(3) != np.uint64(3))
        & (high & _HIGH_MASK == np.uint64(0))
        & (magnitude >= 0)
        & (np.abs(shift) <= 18)  # noqa: PLR2004 -- the last one in _POWERS
        & (magnitude <= _INT64_MAX // up)
        & (magnitude % down == 0)
    )
    scaled = np.where(simple, magnitude * up // down, 0)
    pairs = np.empty((len(words), 2), np.int64)
    pairs[:, 0] = np.where(high >> _SIGN_BIT, -scaled, scaled)
    pairs[:, 1] = pairs[:, 0] >> 63
    for index in np.flatnonzero(there & ~simple).tolist():
        value = cast("Decimal", exact(Decimal128.from_bid(words[index].tobytes())))
        whole = int(value.scaleb(scale, EXACT))
        pairs[index] = np.frombuffer(whole.to_bytes(16, "little", signed=True), np.int64)
    return _array(pa.decimal128(DECIMAL128_DIGITS, scale), pairs, there)


def _check(element: Element, *types: int) -> None:
    if not element.has_only(*types):
        raise Mismatch


def _array(kind: pa.DataType, values: "npt.NDArray[Any]", there: Bools) -> AnyArray:
    return pa.Array.from_buffers(kind, len(there), [_validity(there), buffer_of(values)])


def _hexadecimal(ids: Bytes, there: Bools) -> AnyArray:
    digits = ids.tobytes().hex().encode()
    ends = np.arange(0, _HEX_DIGITS * (len(ids) + 1), _HEX_DIGITS, dtype=np.int32)
    buffers = [_validity(there), buffer_of(ends), pa.py_buffer(digits)]
    return pa.Array.from_buffers(pa.string(), len(ids), buffers)


def _validity(there: Bools) -> pa.Buffer | None:
    return None if there.all() else buffer_of(np.packbits(there, bitorder="little"))
