"""Typed views of Arrow objects, whose published stubs leave element types open."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeGuard, cast

import pyarrow as pa
import pyarrow.compute as pc

AnyArray: TypeAlias = "pa.Array[Any]"
"""An Arrow array of any type."""

DECIMAL128_DIGITS: Final = 38
"""Digits that a decimal128 holds at most."""
DECIMAL256_DIGITS: Final = 76
"""Digits that a decimal256 holds at most."""
FLOAT64_DIGITS: Final = 15
"""A float64 holds every decimal number of this many digits (DBL_DIG)."""


def fields_of(schema: pa.Schema) -> list["pa.Field[Any]"]:
    """Return the fields of a schema, in order."""
    return list(cast("Iterable[pa.Field[Any]]", schema))


def types_of(schema: pa.Schema) -> list[pa.DataType]:
    """Return the type of each column, in order."""
    return schema.types


def schema_of(
    fields: Iterable["pa.Field[Any]"], metadata: Mapping[bytes, bytes] | None
) -> pa.Schema:
    """Return a schema of fields."""
    return pa.schema(fields, metadata=cast("dict[bytes | str, bytes | str] | None", metadata))


def record_batch(columns: Iterable[AnyArray], schema: pa.Schema) -> pa.RecordBatch:
    """Return columns as a batch."""
    return pa.RecordBatch.from_arrays(  # pyright: ignore[reportUnknownMemberType] -- open stubs
        list(columns), schema=schema
    )


def column_of(batch: pa.RecordBatch, index: int) -> AnyArray:
    """Return one column."""
    return batch.column(index)  # pyright: ignore[reportUnknownVariableType] -- open stubs


def values_of(batch: pa.RecordBatch) -> list[list[object]]:
    """Return the values of each column, in order, as Python objects; None for no value."""
    return [cells_of(batch, index) for index in range(batch.num_columns)]


def cells_of(batch: pa.RecordBatch, index: int) -> list[object]:
    """Return the values of one column as Python objects; None for no value."""
    return cast("list[object]", column_of(batch, index).to_pylist())


def extremes_of(column: AnyArray) -> tuple[object, object]:
    """Return the least and the greatest value of a column; None for both if it has no values."""
    both = cast("pa.StructScalar", kernel("min_max", column))
    return both["min"].as_py(), both["max"].as_py()


def is_decimal(kind: pa.DataType) -> TypeGuard["pa.Decimal128Type[int, int]"]:
    """Whether a type is a decimal of any width, so that it has a precision and a scale."""
    return pa.types.is_decimal(kind)


def is_number(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type can be added up."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def kernel(name: str, *arguments: object, options: pc.FunctionOptions | None = None) -> AnyArray:
    """Call one of Arrow's element-wise compute functions.

    Args:
        name: As in the list at https://arrow.apache.org/docs/cpp/compute.html.
        arguments: Arrays, at least one; a scalar stands for the same value in every row.
        options: Options of that function.
    """
    call = cast("Callable[..., AnyArray]", pc.call_function)  # pyright: ignore[reportUnknownMemberType] -- open stubs
    return call(name, list(arguments), options)


def dictionary_of(encoded: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Return the distinct values of a dictionary array, and for each row the index of its value."""
    both = cast("pa.DictionaryArray[Any, Any]", encoded)
    return both.dictionary, both.indices
