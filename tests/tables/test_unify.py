"""The schema that staged parts of one export have in common."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports.errors import StagingError
from exports.staging.parts import decode_part, encode_part
from exports.tables.arrow import cells_of, fields_of, types_of
from exports.tables.columns import Sheet
from exports.tables.unify import conform, unify
from tests.support.rows import DAY, batch, group, measure, table


def staged(kind: pa.DataType, *values: object) -> bytes:
    """A part with one measure."""
    of = table(measure("m", kind))
    return encode_part(of, [batch(of, *((value,) for value in values))]).data


def united(*parts: bytes) -> tuple[pa.DataType, list[list[object]]]:
    """The common type of the parts, and the values of each part in that type."""
    schema = unify([decode_part(part)[0] for part in parts])
    return types_of(schema)[0], [
        [value for rows in decode_part(part)[1] for value in cells_of(conform(rows, schema), 0)]
        for part in parts
    ]


class TestUnify:
    @pytest.mark.parametrize(
        ("parts", "kind", "values"),
        [
            ([(pa.null(), None), (pa.null(), None)], pa.null(), [None, None]),
            ([(pa.null(), None), (pa.int64(), 1)], pa.int64(), [None, 1]),
            ([(pa.string(), "a"), (pa.null(), None)], pa.string(), ["a", None]),
            ([(pa.int64(), 1), (pa.float64(), 0.1)], pa.float64(), [1.0, 0.1]),
            ([(pa.int32(), 1), (pa.int64(), 2**62)], pa.int64(), [1, 2**62]),
            (
                [(pa.int64(), 7), (pa.decimal128(38, 2), Decimal("0.10"))],
                pa.decimal128(3, 2),
                [Decimal("7.00"), Decimal("0.10")],
            ),
            (
                [(pa.float64(), 0.1), (pa.decimal128(38, 2), Decimal("5.00"))],
                pa.decimal128(3, 2),
                [Decimal("0.10"), Decimal("5.00")],
            ),
            (
                [
                    (pa.decimal128(38, 2), Decimal("1E35")),
                    (pa.decimal128(38, 30), Decimal("1E-30")),
                ],
                pa.decimal256(66, 30),
                [Decimal("1E35"), Decimal("1E-30")],
            ),
            (
                [(pa.decimal128(38, 2), Decimal(1)), (pa.decimal128(10, 2), Decimal(2))],
                pa.decimal128(3, 2),
                [Decimal(1), Decimal(2)],
            ),
            ([(pa.int64(), -3), (pa.string(), "x")], pa.string(), ["-3", "x"]),
            ([(pa.bool_(), True), (pa.int64(), 1)], pa.string(), ["true", "1"]),
            ([(pa.date32(), date(2026, 1, 2)), (pa.int64(), 1)], pa.string(), ["2026-01-02", "1"]),
        ],
    )
    def test_different_types_have_a_common_type_that_holds_all_values(
        self,
        parts: Sequence[tuple[pa.DataType, object]],
        kind: pa.DataType,
        values: Sequence[object],
    ) -> None:
        assert united(*(staged(*part) for part in parts)) == (kind, [[value] for value in values])

    def test_times_of_one_zone_stay_times_and_of_several_become_text(self) -> None:
        when = datetime(2026, 7, 1, tzinfo=UTC)
        shanghai, berlin = (
            staged(pa.timestamp("ms", zone), when) for zone in ("Asia/Shanghai", "Europe/Berlin")
        )
        assert united(shanghai, shanghai)[0] == pa.timestamp("ms", "Asia/Shanghai")
        assert united(shanghai, berlin) == (
            pa.string(),
            [["2026-07-01T08:00:00.000+08:00"], ["2026-07-01T02:00:00.000+02:00"]],
        )

    def test_floats_and_an_integer_that_a_float_would_round_become_decimals(self) -> None:
        kind, values = united(staged(pa.int64(), 2**53 + 1), staged(pa.float64(), 0.5))
        assert pa.types.is_decimal(kind)
        assert values == [[2**53 + 1], [Decimal("0.5")]]

    def test_decimals_and_an_infinity_become_floats_if_floats_hold_them(self) -> None:
        parts = (
            staged(pa.float64(), -math.inf, 0.3),
            staged(pa.decimal128(38, 2), Decimal("1234567890123.10")),
            staged(pa.int64(), 7),
        )
        assert united(*parts) == (pa.float64(), [[-math.inf, 0.3], [1234567890123.1], [7.0]])

    @pytest.mark.parametrize(
        ("value", "decimal", "text"),
        [
            (math.nan, "12345678901234.10", "NaN"),
            (-math.inf, "12345678901234.10", "-Infinity"),
            (1e300, "0.10", "1e+300"),
        ],
    )
    def test_decimals_and_a_float_that_no_decimal_can_hold_become_text_if_floats_do_not_hold_them(
        self, value: float, decimal: str, text: str
    ) -> None:
        parts = staged(pa.float64(), value), staged(pa.decimal128(38, 2), Decimal(decimal))
        assert united(*parts) == (pa.string(), [[text], [decimal]])

    def test_numbers_of_more_than_76_digits_together_become_text(self) -> None:
        large, small = Decimal("1E50"), Decimal("1E-50")
        parts = staged(pa.decimal256(76, 0), large), staged(pa.decimal256(76, 50), small)
        assert united(*parts) == (pa.string(), [["1" + "0" * 50], ["0." + "0" * 49 + "1"]])

    def test_decimals_and_floats_whose_digits_were_not_noted_become_text(
        self,
    ) -> None:
        kinds: list[pa.DataType] = [pa.float64(), pa.decimal128(38, 2)]
        assert types_of(unify([table(measure("m", kind)) for kind in kinds])) == [pa.string()]

    def test_integers_whose_digits_were_not_noted_may_have_all_digits(self) -> None:
        kinds: list[pa.DataType] = [pa.int64(), pa.decimal128(38, 2)]
        schema = unify([table(measure("m", kind)) for kind in kinds])
        assert types_of(schema)[0] == pa.decimal128(38, 2)
        assert conform(batch(table(measure("m", pa.int64())), (-(2**63),)), schema).to_pylist() == [
            {"m": -(2**63)}
        ]

    def test_the_metadata_is_that_of_the_first_part(self) -> None:
        first = table(measure("m", pa.null(), "sum"), about=Sheet(title="a", summary="b"))
        part = decode_part(encode_part(first, []).data)[0]
        unified = unify([part, decode_part(staged(pa.int64(), 1))[0]])
        assert unified.equals(table(measure("m", pa.int64(), "sum")), check_metadata=False)
        assert unified.metadata == first.metadata
        assert [item.metadata for item in fields_of(unified)] == [
            item.metadata for item in fields_of(first)
        ]

    @pytest.mark.parametrize(
        "schemas",
        [[], [table(group("a")), table(group("b"))], [table(group("a")), table(group("a"), DAY)]],
    )
    def test_parts_with_different_columns_are_refused(self, schemas: list[pa.Schema]) -> None:
        with pytest.raises(StagingError, match="different columns"):
            unify(schemas)


class TestConform:
    @pytest.mark.parametrize(
        ("kind", "value", "to"),
        [
            (pa.int64(), 2**53 + 1, pa.float64()),
            (pa.float64(), math.nan, pa.decimal128(38, 2)),
            (pa.float64(), 0.125, pa.decimal128(38, 2)),
            (pa.decimal128(38, 2), Decimal(1000), pa.decimal128(4, 2)),
            (pa.decimal128(38, 2), Decimal("12345678901234567.10"), pa.float64()),
            (pa.string(), "12345-secret", pa.int64()),
            (pa.float64(), 1.5, pa.int64()),
        ],
    )
    def test_a_value_that_would_change_is_refused_and_not_in_the_message(
        self, kind: pa.DataType, value: object, to: pa.DataType
    ) -> None:
        rows = batch(table(measure("m", kind)), (value,))
        with pytest.raises(StagingError, match="exactly") as caught:
            conform(rows, table(measure("m", to)))
        assert str(value) not in caught.value.msg

    def test_different_columns_are_refused(self) -> None:
        with pytest.raises(StagingError, match="different columns"):
            conform(batch(table(group("a")), ("x",)), table(group("b")))

    def test_a_batch_has_exactly_the_schema_with_its_metadata(self) -> None:
        of = table(group(), measure("m", pa.int64()))
        schema, (rows,) = decode_part(encode_part(of, [batch(of, ("a", 1))]).data)
        assert not schema.equals(of, check_metadata=True)
        assert conform(rows, unify([schema])).schema.equals(of, check_metadata=True)


NUMBERS = st.one_of(
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=4).map(
        lambda values: (pa.int64(), values)
    ),
    st.lists(st.none() | st.floats(), max_size=4).map(lambda values: (pa.float64(), values)),
    st.lists(st.none() | st.decimals(-(10**31), 10**31, places=6), max_size=4).map(
        lambda values: (pa.decimal128(38, 6), values)
    ),
)


@given(st.lists(NUMBERS, min_size=1, max_size=4))
def test_a_mixture_of_numbers_changes_no_value(
    parts: list[tuple[pa.DataType, list[object]]],
) -> None:
    _, found = united(*(staged(kind, *values) for kind, values in parts))
    for (_, values), back in zip(parts, found, strict=True):
        assert [_number(value) for value in back] == [_number(value) for value in values]


def _number(value: object) -> object:
    """A number as the decimal that it is written as; NaN, which equals nothing, as text."""
    if value is None:
        return None
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(str(value))
    return number if number.is_finite() else str(number)
