"""Staged parts as bytes: whole, or refused."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from exports.errors import StagingError
from exports.staging.parts import decode_part, encode_part
from exports.tables.columns import columns_of, sheet_of
from tests.support.rows import DAY, batch, group, measure, table


def staged(kind: pa.DataType, *values: object) -> bytes:
    """A part with one measure."""
    of = table(measure("m", kind))
    return encode_part(of, [batch(of, *((value,) for value in values))]).data


class TestPart:
    def test_rows_and_schema_are_read_back_unchanged(self) -> None:
        of = table(
            DAY,
            group(),
            measure("n", pa.int64(), "sum"),
            measure("d", pa.decimal128(38, 2)),
            measure("t", pa.timestamp("ms", "Asia/Shanghai")),
        )
        rows = [
            batch(
                of, (date(2026, 10, 5), "书", 1, Decimal("0.10"), datetime(2026, 1, 1, tzinfo=UTC))
            ),
            batch(of, (None,) * 5),
        ]
        schema, found = decode_part(encode_part(of, rows).data)
        assert [item.to_pylist() for item in found] == [item.to_pylist() for item in rows]
        assert schema.equals(of)
        assert columns_of(schema) == columns_of(of)
        assert sheet_of(schema) == sheet_of(of)

    def test_a_part_without_rows_is_a_part(self) -> None:
        schema, rows = decode_part(encode_part(table(group()), []).data)
        assert (schema.names, list(rows)) == (["Category"], [])

    def test_the_same_rows_give_the_same_bytes(self) -> None:
        assert staged(pa.float64(), 1.5, 2.5) == staged(pa.float64(), 1.5, 2.5)

    @pytest.mark.parametrize(
        "data",
        [b"", b"not arrow", b"\xff" * 64, b"x" * 64 + b"\xff\xff\xff\xff\0\0\0\0", b"PK\x03\x04"],
    )
    def test_bytes_that_are_not_a_part_are_refused(self, data: bytes) -> None:
        with pytest.raises(StagingError) as caught:
            decode_part(data)
        assert caught.value.code == "E_STAGING"

    def test_a_part_that_was_cut_off_anywhere_is_refused(self) -> None:
        of = table(group())
        data = encode_part(of, [batch(of, ("a",)), batch(of, ("b",))]).data
        for length in range(0, len(data), 8):
            with pytest.raises(StagingError):
                decode_part(data[:length])

    def test_a_part_whose_rows_are_damaged_is_refused(self) -> None:
        of = table(group())
        data = encode_part(of, [batch(of, *(("a" * 50,) for _ in range(1000)))]).data
        start = data.index(b"\x28\xb5\x2f\xfd")  # where a Zstandard frame begins
        damaged = data[:start] + bytes(16) + data[start + 16 :]
        _, rows = decode_part(damaged)
        with pytest.raises(StagingError):
            list(rows)
