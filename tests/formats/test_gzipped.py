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
def test_it_is_the_plain_file_compressed(name: str) -> None:
    rows = [batch(OF, *((f"row {number}", number) for number in range(5000)))] * 3
    plain, compressed = format_named(name), format_named(f"{name}.gz")
    assert gzip.decompress(encoded(compressed, rows)) == encoded(plain, rows)
    assert len(encoded(compressed, rows)) < len(encoded(plain, rows)) / 3


@pytest.mark.parametrize("name", ["csv", "ndjson"])
def test_it_is_called_what_programs_expect(name: str) -> None:
    compressed = format_named(f"{name}.gz")
    assert compressed.extension == f"{name}.gz"
    assert compressed.media_type == "application/gzip"


def test_its_header_says_neither_when_nor_what() -> None:
    # RFC 1952, 2.3: magic number, method, flags, four bytes of time, extra flags, system.
    header = encoded(format_named("csv.gz"), [batch(OF, ("a", 1))])[:10]
    assert header[:4] == b"\x1f\x8b\x08\x00"
    assert header[4:8] == bytes(4)


def test_compressed_bytes_come_out_while_rows_still_go_in() -> None:
    pulled: list[int] = []

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(60):
            pulled.append(number)
            yield batch(OF, *((f"{number}-{row * 7919 % 5003}", row) for row in range(2000)))

    pieces = format_named("csv.gz").encode(OF, batches(), WarningCounts())
    when = [len(pulled) for _ in pieces]
    assert when[0] < 20
    assert len(when) > 2


@pytest.mark.parametrize("name", ["csv", "ndjson"])
def test_the_same_rows_are_the_same_bytes_however_they_come_in_batches(name: str) -> None:
    chance = random.Random(1)  # noqa: S311 -- not for secrets
    rows = [(f"{chance.getrandbits(96):x}", chance.getrandbits(20)) for _ in range(8000)]
    at_once = encoded(format_named(f"{name}.gz"), [batch(OF, *rows)])
    for _ in range(60):
        cut = chance.randrange(1, len(rows))
        apart = [batch(OF, *rows[:cut]), batch(OF, *rows[cut:])]
        assert encoded(format_named(f"{name}.gz"), apart) == at_once
