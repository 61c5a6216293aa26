"""A batch of BSON documents, whose fields are found without a Python object for each value.

An element of a document is a byte for the type of its value, its name with a zero byte after it,
and its value (https://bsonspec.org/spec.html). One projection made all documents of a batch, so
they have the same fields in the same order, but for missing ones. So all of them are read at the
same time, field by field, with arrays that have a place for each document.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from string import ascii_lowercase
from struct import Struct
from typing import Any, Final, NamedTuple, TypeAlias

import bson
import numpy as np
import numpy.typing as npt

from exports.source.database import CODEC
from exports.source.values import Mismatch

Bools: TypeAlias = "npt.NDArray[np.bool_]"
Bytes: TypeAlias = "npt.NDArray[np.uint8]"
Int64s: TypeAlias = "npt.NDArray[np.int64]"
Places: TypeAlias = "npt.NDArray[np.int32] | npt.NDArray[np.int64]"

DOUBLE: Final = 0x01
STRING: Final = 0x02
OBJECT: Final = 0x03
ARRAY: Final = 0x04
BINARY: Final = 0x05
UNDEFINED: Final = 0x06
OBJECT_ID: Final = 0x07
BOOLEAN: Final = 0x08
DATE: Final = 0x09
NULL: Final = 0x0A
CODE: Final = 0x0D
SYMBOL: Final = 0x0E
INT32: Final = 0x10
TIMESTAMP: Final = 0x11
INT64: Final = 0x12
DECIMAL128: Final = 0x13

_SIZES: Final[Mapping[int, int]] = {
    DOUBLE: 8,
    STRING: 4,
    OBJECT: 0,
    ARRAY: 0,
    BINARY: 5,
    UNDEFINED: 0,
    OBJECT_ID: 12,
    BOOLEAN: 1,
    DATE: 8,
    NULL: 0,
    CODE: 4,
    SYMBOL: 4,
    INT32: 4,
    TIMESTAMP: 8,
    INT64: 8,
    DECIMAL128: 16,
}
"""Bytes of a value, by its type; those that its first four bytes count come on top."""
_TOO_LARGE: Final = 1 << 40
"""The size of a value of another type: it leads out of its document."""
_SIZE_OF: Final = np.array([_SIZES.get(kind, _TOO_LARGE) for kind in range(256)], np.int64)
_COUNTED: Final = np.isin(np.arange(256), (STRING, OBJECT, ARRAY, BINARY, CODE, SYMBOL))
_COUNT: Final = Struct("<i")
_COUNT_BYTES: Final = _COUNT.size
_LETTERS: Final = 3
_NAME_BYTES: Final = _LETTERS + 1
"""A name and the zero byte after it are one number of four bytes."""


def wire_name(index: int) -> str:
    """Return a name for a field in a projection: three letters, another one for each index."""
    return "".join(
        ascii_lowercase[index // len(ascii_lowercase) ** place % len(ascii_lowercase)]
        for place in reversed(range(_LETTERS))
    )


class Element(NamedTuple):
    """The element of one field in each document of a batch.

    Attributes:
        types: The BSON type of each value; `NULL` if a document does not have the field.
        places: Where in the batch each value begins.
    """

    types: Bytes
    places: Places

    @property
    def there(self) -> Bools:
        """For each document, whether it has a value."""
        return np.not_equal(self.types, NULL)

    def has_only(self, *types: int) -> bool:
        """Return whether all values are of these types, or none."""
        return set(np.flatnonzero(np.bincount(self.types)).tolist()) <= {NULL, *types}


class Batch:
    """BSON documents, one directly after the other.

    Args:
        raw: Their bytes, at least one document.
        names: The names of their fields, made by `wire_name`, in the order of the projection.
    """

    def __init__(self, raw: bytes, names: Iterable[str]) -> None:
        self.raw = raw
        self._found = self._elements(names)

    @cached_property
    def _documents(self) -> list[dict[str, object]]:
        return bson.decode_all(self.raw, CODEC)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] -- open stubs

    def values_of(self, name: str) -> list[object]:
        """Return the value of a field of each document, as the driver decodes it, or None."""
        return [document.get(name) for document in self._documents]

    def element(self, name: str) -> Element:
        """Return the elements of a field.

        Raises:
            Mismatch: It is not known where they are: a document of the batch has other fields,
                another order, or a value of another type than those above.
        """
        try:
            return self._found[name]
        except KeyError:
            raise Mismatch from None

    def values(self, element: Element, stored: Mapping[int, str], kind: str) -> "npt.NDArray[Any]":
        """Return the values of a field.

        Args:
            element: The field.
            stored: For each type of BSON that it has, how numpy names the bytes of its values.
            kind: How numpy names the values that are wanted. Those of documents without a value
                are zero.
        """
        found = np.zeros(len(element.types), kind)
        for bson_type, as_stored in stored.items():
            rows = element.types == bson_type
            if rows.all():  # as in most columns: half the work
                return self._read(element.places, as_stored).astype(kind, copy=False)
            if rows.any():
                found[rows] = self._read(element.places[rows], as_stored)
        return found

    def _elements(self, names: Iterable[str]) -> dict[str, Element]:
        starts = self._starts()
        ends = np.append(starts[1:], len(self.raw)) - 1
        at = starts + _COUNT_BYTES
        found: dict[str, Element] = {}
        for name in names:
            here = self._read(at + 1, "<u4") == int.from_bytes(name.encode(), "little")
            types = self._read(at, "u1")
            if here.all() and (types == types[0]).all():  # as in most batches: half the work
                places = at + (1 + _NAME_BYTES)
                size, counted = _SIZE_OF[types[0]], _COUNTED[types[0]]
            else:
                types = np.where(here, types, np.uint8(NULL))
                places = at + here * (1 + _NAME_BYTES)
                size, counted = _SIZE_OF[types], _COUNTED[types]
            at = places + size
            if counted.any():
                at += counted * self._read(places, "<u4")
            # Half the memory, which counts if a report has a thousand columns.
            found[name] = Element(types, places.astype(np.int32))
        return found if (at == ends).all() else {}

    def _read(self, places: Places, kind: str) -> "npt.NDArray[Any]":
        """Return the value that begins at each place; any value where it would not be whole."""
        size = np.dtype(kind).itemsize
        last = len(self.raw) - size
        # Bytes without a meaning are copied twice as fast as numbers that are not aligned.
        from_each = np.ndarray((last + 1,), f"V{size}", self.raw, strides=(1,))
        return from_each[np.minimum(places, last)].view(kind)

    def _starts(self) -> Int64s:
        """Return where the documents begin."""
        starts: list[int] = []
        at, end, raw, count_at = 0, len(self.raw), self.raw, _COUNT.unpack_from
        while at < end:
            starts.append(at)
            at += count_at(raw, at)[0]
        return np.array(starts, np.int64)
