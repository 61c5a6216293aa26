from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from tempfile import NamedTemporaryFile
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports.formats.parquet import Parquet
from exports.tables.arrow import fields_of, record_batch, values_of
from exports.tables.columns import Column
from exports.tables.warnings import WarningCounts
from tests.support.parquet_files import parquet_file, parquet_table
from tests.support.rows import DAY, ROWS, batch, group, measure, numbered, table

GROUP = 100_000


def encoded(of: pa.Schema, batches: Iterable[pa.RecordBatch]) -> bytes:
    return b"".join(Parquet().encode(of, batches, WarningCounts()))


class TestColumns:
    of = table(
        DAY,
        (
            Column(name="amount", title="Amount €", role="field", number_format="0.0"),
            pa.decimal128(38, 2),
        ),
        measure("last", pa.timestamp("ms", "Asia/Shanghai")),
        measure("wide", pa.decimal256(76, 40)),
        measure("nothing", pa.null()),
        about=ROWS,
    )
    row = (
        date(2026, 10, 5),
        Decimal("-0.10"),
        datetime(2026, 10, 5, 20, 30, 1, 123000, UTC),
        Decimal("1E-40"),
        None,
    )

    def test_columns_have_the_types_and_names_of_the_report(self) -> None:
        schema = parquet_file(encoded(self.of, [batch(self.of, self.row)])).schema_arrow
        assert [(field.name, field.type) for field in fields_of(schema)] == [
            ("day", pa.date32()),
            ("amount", pa.decimal128(38, 2)),
            ("last", pa.timestamp("ms", "Asia/Shanghai")),
            ("wide", pa.string()),
            ("nothing", pa.string()),
        ]

    def test_duckdb_reads_the_same_types_and_values(self) -> None:
        with NamedTemporaryFile(suffix=".parquet") as file, duckdb.connect() as connection:
            file.write(encoded(self.of, [batch(self.of, self.row)]))
            file.flush()
            connection.execute("SET TimeZone = 'UTC'")
            found = connection.read_parquet(file.name)
            assert [str(kind) for kind in found.types] == [
                "DATE", "DECIMAL(38,2)", "TIMESTAMP WITH TIME ZONE", "VARCHAR", "VARCHAR"
            ]  # fmt: skip
            assert found.project("COLUMNS(*)::VARCHAR").fetchall() == [
                (
                    "2026-10-05",
                    "-0.10",
                    "2026-10-05 20:30:01.123+00",
                    "0.0000000000000000000000000000000000000001",
                    None,
                )
            ]

    def test_the_metadata_is_for_people_and_not_that_of_staged_parts(self) -> None:
        schema = parquet_file(encoded(self.of, [])).schema_arrow
        assert schema.metadata == {
            b"title": "Orders 订单".encode(),
            b"summary": b"recordsDetail 2026-10",
        }
        metadata = [field.metadata for field in fields_of(schema)]
        assert metadata[0] == {b"title": b"Day"}
        assert metadata[1] == {b"title": "Amount €".encode(), b"number_format": b"0.0"}

    @given(
        st.lists(
            st.tuples(
                st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
                st.none() | st.integers(-(2**63), 2**63 - 1),
                st.none() | st.floats(),
                st.none() | st.booleans(),
                st.none() | st.decimals(-(10**30), 10**30, places=6),
                st.none() | st.dates(),
            ),
            max_size=8,
        ),
        st.integers(1, 8),
    )
    def test_every_value_comes_back_exactly(self, rows: list[tuple[Any, ...]], size: int) -> None:
        of = table(
            group(),
            measure("whole", pa.int64()),
            measure("float", pa.float64()),
            measure("sure", pa.bool_()),
            measure("exact", pa.decimal128(38, 6)),
            measure("day", pa.date32()),
            about=ROWS,
        )
        batches = [batch(of, *rows[first : first + size]) for first in range(0, len(rows), size)]
        found = parquet_table(encoded(of, batches))
        read = [row for part in found.to_batches() for row in zip(*values_of(part), strict=True)]
        written = [row for part in batches for row in zip(*values_of(part), strict=True)]
        assert list(map(repr, read)) == list(map(repr, written))  # NaN differs from itself


class TestRowGroups:
    of = table(group(), measure("n", pa.int64()), about=ROWS)

    def sizes(self, data: bytes) -> list[int]:
        found = parquet_file(data).metadata
        return [found.row_group(index).num_rows for index in range(found.num_row_groups)]

    @pytest.mark.parametrize("size", [50_000, 300_000])
    def test_a_row_group_has_100000_rows_whatever_the_batches(self, size: int) -> None:
        batches = [
            numbered(self.of, first, min(first + size, 300_000))
            for first in range(0, 300_000, size)
        ]
        data = encoded(self.of, batches)
        assert self.sizes(data) == [GROUP, GROUP, 300_000 - 2 * GROUP]
        assert parquet_table(data).column("n").to_pylist() == list(range(300_000))

    def test_the_same_rows_give_the_same_bytes_whatever_the_batches(self) -> None:
        texts = pa.array([f"{number:0200}" for number in range(20_000)])
        whole = record_batch([texts, pa.nulls(20_000, pa.int64())], self.of)
        ends = [0, 1, 7_000, 7_000, 13_333, 20_000]
        several = [whole.slice(first, end - first) for first, end in pairwise(ends)]
        assert encoded(self.of, several) == encoded(self.of, [whole])

    def test_a_row_group_is_not_larger_than_32_mebibytes(self) -> None:
        texts = pa.array(["x" * 10_000] * 1_000)
        rows = record_batch([texts, pa.nulls(1_000, pa.int64())], self.of)
        sizes = self.sizes(encoded(self.of, [rows] * 8))
        assert sum(sizes) == 8_000
        assert 3_000 < max(sizes) <= (32 << 20) // 10_000

    def test_a_row_group_with_a_single_row_may_be_larger(self) -> None:
        rows = record_batch([pa.array(["x" * (33 << 20)] * 2), pa.nulls(2, pa.int64())], self.of)
        assert self.sizes(encoded(self.of, [rows])) == [1, 1]

    def test_a_row_group_is_handed_on_as_soon_as_it_is_full(self) -> None:
        read: list[int] = []

        def batches() -> Iterable[pa.RecordBatch]:
            for first in range(0, 1_000_000, 50_000):
                read.append(first)
                yield numbered(self.of, first, first + 50_000)

        pieces = Parquet().encode(self.of, batches(), WarningCounts())
        assert next(pieces)
        assert len(read) == 2
        assert next(pieces)
        assert len(read) == 4
        assert len(list(pieces)) == 9

    def test_an_export_without_rows_has_no_row_group(self) -> None:
        assert self.sizes(encoded(self.of, [])) == []

    def test_row_groups_are_compressed_with_zstd(self) -> None:
        found = parquet_file(encoded(self.of, [numbered(self.of, 0, 10)])).metadata
        assert found.row_group(0).column(0).compression == "ZSTD"
