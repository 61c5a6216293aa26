"""Converts whole columns from the types of pymongoarrow to those of a file, without a loop."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from bson import Decimal128

from exports.clock import epoch_ms
from exports.source.values import Rule
from exports.tables.arrow import AnyArray
from exports.tables.local_times import local_times
from exports.tables.plain import EXACT

if TYPE_CHECKING:
    from decimal import Decimal

Int64s: TypeAlias = "npt.NDArray[np.int64]"
Bytes: TypeAlias = "npt.NDArray[np.uint8]"

OBJECT_ID_BYTES: Final = 12
_HEX_DIGITS: Final = 2 * OBJECT_ID_BYTES
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


def valid(array: AnyArray) -> "npt.NDArray[np.bool_]":
    """Return for each row whether it has a value."""
    return cast("npt.NDArray[np.bool_]", array.is_valid().to_numpy(zero_copy_only=False))


def int64s(array: AnyArray) -> Int64s:
    """Return the 64-bit values of an array; rows without a value have any number."""
    return np.frombuffer(_memory(array), np.int64)[array.offset : array.offset + len(array)]


def fixed_bytes(array: AnyArray, width: int) -> Bytes:
    """Return the values of an array of ids or decimals, as a row of bytes each."""
    flat = np.frombuffer(_memory(array), np.uint8)
    return flat.reshape(-1, width)[array.offset : array.offset + len(array)]


def buffer_of(values: "npt.NDArray[Any]") -> pa.Buffer:
    """Return the memory of contiguous values."""
    return pa.py_buffer(cast("bytes", values))  # the stubs do not know that arrays are buffers


def hexadecimal(ids: AnyArray) -> AnyArray:
    """Return ObjectIds as texts of hexadecimal digits."""
    digits = fixed_bytes(ids, OBJECT_ID_BYTES).tobytes().hex().encode()
    offsets = np.arange(0, _HEX_DIGITS * (len(ids) + 1), _HEX_DIGITS, dtype=np.int32)
    buffers = [_validity(ids), buffer_of(offsets), pa.py_buffer(digits)]
    return pa.Array.from_buffers(pa.string(), len(ids), buffers)


def in_datetime_range(dates: AnyArray) -> bool:
    """Whether all dates are in the years 1 to 9999 in every time zone."""
    there = int64s(dates)[valid(dates)]
    return not len(there) or bool(there.min() >= _FIRST_MS and there.max() <= _LAST_MS)


def zoned(dates: AnyArray, zone: ZoneInfo) -> AnyArray:
    """Return dates as instants that are shown in a time zone."""
    values = buffer_of(int64s(dates))
    return pa.Array.from_buffers(
        pa.timestamp("ms", tz=zone.key), len(dates), [_validity(dates), values]
    )


def local_days(dates: AnyArray, zone: ZoneInfo) -> AnyArray:
    """Return the local day of each date; all of them are `in_datetime_range`."""
    return local_times(zoned(dates, zone)).cast(pa.date32())


def decimals(numbers: AnyArray, kind: pa.DataType, scale: int, exact: Rule) -> AnyArray:
    """Return Decimal128 values as an Arrow decimal.

    Args:
        numbers: The column that pymongoarrow decoded.
        kind: A decimal128 type with `scale` places.
        scale: Its places.
        exact: The rule for the few values whose coefficient has more than 18 digits or so.

    Raises:
        Mismatch: A value does not fit.
    """
    there = valid(numbers)
    words = fixed_bytes(numbers, 16).view(np.uint64)
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
    pairs = np.empty((len(numbers), 2), np.int64)
    pairs[:, 0] = np.where(high >> _SIGN_BIT, -scaled, scaled)
    pairs[:, 1] = pairs[:, 0] >> 63
    for index in np.flatnonzero(there & ~simple).tolist():
        value = cast("Decimal", exact(Decimal128.from_bid(words[index].tobytes())))
        whole = int(value.scaleb(scale, EXACT))
        pairs[index] = np.frombuffer(whole.to_bytes(16, "little", signed=True), np.int64)
    return pa.Array.from_buffers(kind, len(numbers), [_validity(numbers), buffer_of(pairs)])


def _memory(array: AnyArray) -> bytes:
    values = array.buffers()[-1]
    return b"" if values is None else cast("bytes", values)  # same for the stubs of Arrow


def _validity(array: AnyArray) -> pa.Buffer | None:
    if not array.null_count:
        return None
    return buffer_of(np.packbits(valid(array), bitorder="little"))
