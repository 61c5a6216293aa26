"""A column gets the narrowest Arrow type that holds each of its values."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

from exports.source.inferred import column, group_column

PERSON = ObjectId("65f0c0ffee65f0c0ffee65f0")
MOMENT = datetime(2026, 10, 31, 16, 30, tzinfo=UTC)
LARGEST = 2**63 - 1


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([], pa.null(), []),
        ([None, None], pa.null(), [None, None]),
        ([1, None, Int64(LARGEST)], pa.int64(), [1, None, LARGEST]),
        ([1, 2.5, None], pa.float64(), [1.0, 2.5, None]),
        ([2**53 + 1, 0.5], pa.decimal128(38, 1), [Decimal(2**53 + 1), Decimal("0.5")]),
        ([math.inf, 1.5, -0.0], pa.float64(), [math.inf, 1.5, 0.0]),
        ([-math.inf, 3], pa.float64(), [-math.inf, 3.0]),
        ([Decimal128("Infinity"), Decimal128("-Infinity")], pa.float64(), [math.inf, -math.inf]),
        # A float holds 0.10 in the sense that its shortest text is the same number.
        ([math.inf, Decimal128("0.10"), 2**53, None], pa.float64(), [math.inf, 0.1, 2**53, None]),
        ([math.inf, Decimal128("0E-6000")], pa.float64(), [math.inf, 0.0]),
        ([math.inf, 2**53 + 1], pa.string(), ["Infinity", "9007199254740993"]),
        (
            [Decimal128("NaN"), Decimal128("-sNaN"), Decimal128("12345678901234.560")],
            pa.string(),
            ["NaN", "NaN", "12345678901234.560"],
        ),
        (
            [Decimal128("12.50"), Decimal128("-3.125"), 7, 0.1, None],
            pa.decimal128(38, 3),
            [Decimal("12.500"), Decimal("-3.125"), Decimal(7), Decimal("0.1"), None],
        ),
        ([Decimal128("3.00")], pa.decimal128(38, 2), [Decimal("3.00")]),
        ([Decimal128("1E+3")], pa.decimal128(38, 0), [Decimal(1000)]),
        (
            [Decimal128("1E+30"), Decimal128("1E-30")],
            pa.decimal256(76, 30),
            [Decimal("1E+30"), Decimal("1E-30")],
        ),
        # Only the zeros at the end do not fit.
        ([Decimal128("0E-6000"), 1], pa.decimal128(38, 0), [Decimal(0), Decimal(1)]),
        (
            [Decimal128("1E+6000"), Decimal128("1.5"), None],
            pa.string(),
            ["1E+6000", "1.5", None],
        ),
        ([MOMENT, None], pa.timestamp("ms", tz="Asia/Shanghai"), [MOMENT, None]),
        (["a", "图书", None], pa.string(), ["a", "图书", None]),
        ([True, False, None], pa.string(), ["true", "false", None]),
        ([True, 1], pa.string(), ["true", "1"]),
        ([PERSON, "x", 2.5], pa.string(), ["65f0c0ffee65f0c0ffee65f0", "x", "2.5"]),
        ([MOMENT, "x"], pa.string(), ["2026-11-01T00:30:00.000+08:00", "x"]),
        ([DatetimeMS(2**50)], pa.string(), ["1125899906842624"]),
        ([datetime(9999, 12, 31, 20, tzinfo=UTC)], pa.string(), ["9999-12-31T20:00:00.000+00:00"]),
        ([{"k": "图"}, [1, "b"]], pa.string(), ['{"k": "图"}', '[1, "b"]']),
    ],
)
def test_values_become_a_column(
    values: list[object], kind: pa.DataType, expected: list[object]
) -> None:
    found = column(values, "Asia/Shanghai").values

    assert found.type == kind
    assert found.to_pylist() == expected


def test_a_value_without_a_usual_text_is_shown_as_json() -> None:
    number = UUID("12345678-1234-5678-1234-567812345678")

    (text,) = column([Binary.from_uuid(number)], "UTC").values.to_pylist()

    assert isinstance(text, str)
    assert text.startswith("{")


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.integers(-LARGEST, LARGEST),
            st.decimals("-1e20", "1e20", places=8).map(Decimal128),
        )
    )
)
def test_integers_and_decimals_keep_their_exact_value(values: list[Any]) -> None:
    found = column(values, "UTC").values.to_pylist()

    assert found == [
        value.to_decimal() if isinstance(value, Decimal128) else value for value in values
    ]


_decimal128s = st.binary(min_size=16, max_size=16).map(Decimal128.from_bid)
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-LARGEST, LARGEST),
    st.floats(),
    st.text(),
    _decimal128s,
    st.datetimes(timezones=st.just(UTC)),
    st.just(PERSON),
)


@given(
    st.lists(_scalars | st.lists(_scalars) | st.dictionaries(st.text(), _scalars))
    | st.lists(st.none() | st.integers(-LARGEST, LARGEST) | st.floats() | _decimal128s)
)
def test_every_mixture_of_values_becomes_a_column(values: list[object]) -> None:
    for found in (column(values, "Asia/Shanghai"), group_column(values, "Asia/Shanghai")):
        assert len(found.values.to_pylist()) == len(values)
