import gzip
import random
from collections.abc import Iterator

import pyarrow as pa
import pytest

from exports.formats import FileFormat, format_named
from exports.tables.warnings import WarningCounts
from tests.support.rows import batch, group, measure, table

OF = table(group(), measure("Whole", pa.int64()))


def encoded(by: FileFormat, batches: list[pa.RecordBatch]) -> bytes:
    return b"".join(by.encode(OF, batches, WarningCounts()))


@pytest.mark.parametrize("name", ["csv", "ndjson"])
def test_the_file_is_the_plain_file_compressed(name: str) -> None:
    rows = [batch(OF, *((f"row {number}", number) for number in range(5000)))] * 3
    plain, compressed = format_named(name), format_named(f"{name}.gz")
    assert gzip.decompress(encoded(compressed, rows)) == encoded(plain, rows)
    assert len(encoded(compressed, rows)) < len(encoded(plain, rows)) / 3


@pytest.mark.parametrize("name", ["csv", "ndjson"])
def test_extension_and_media_type_are_those_of_gzip(name: str) -> None:
    compressed = format_named(f"{name}.gz")
    assert compressed.extension == f"{name}.gz"
    assert compressed.media_type == "application/gzip"


def test_the_header_holds_no_time_and_no_name() -> None:
    # RFC 1952, 2.3: magic number, method, flags, four bytes of time, extra flags, system.
    header = encoded(format_named("csv.gz"), [batch(OF, ("a", 1))])[:10]
    assert header[:4] == b"\x1f\x8b\x08\x00"
    assert header[4:8] == bytes(4)


def test_compressed_bytes_are_handed_on_before_all_rows_were_read() -> None:
    read: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(60):
            read.append(number)
            yield batch(OF, *((f"{number}-{row * 7919 % 5003}", row) for row in range(2000)))

    pieces = format_named("csv.gz").encode(OF, batches(), WarningCounts())
    when = [len(read) for _ in pieces]
    assert when[0] < 20
    assert len(when) > 2


@pytest.mark.parametrize("name", ["csv", "ndjson"])
def test_the_same_rows_give_the_same_bytes_whatever_the_batches(name: str) -> None:
    rng = random.Random(1)  # noqa: S311 -- not for secrets
    rows = [(f"{rng.getrandbits(96):x}", rng.getrandbits(20)) for _ in range(8000)]
    at_once = encoded(format_named(f"{name}.gz"), [batch(OF, *rows)])
    for _ in range(60):
        cut = rng.randrange(1, len(rows))
        apart = [batch(OF, *rows[:cut]), batch(OF, *rows[cut:])]
        assert encoded(format_named(f"{name}.gz"), apart) == at_once
