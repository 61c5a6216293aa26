import json
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exports.formats.ndjson import Ndjson
from exports.tables.warnings import WarningCounts
from tests.support.rows import DAY, MONTH, Described, batch, group, measure, table

LARGEST_SAFE = 2**53 - 1
TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from('"\\/\b\f\n\r\t\x00\x1f\x7f\u2028n'),
    ),
    max_size=20,
)


def encoded(of: pa.Schema, *rows: tuple[object, ...]) -> bytes:
    return b"".join(Ndjson().encode(of, [batch(of, *rows)], WarningCounts()))


def value(column: Described, cell: object) -> object:
    """A single value, as a JSON parser reads it."""
    of = table(column)
    found: dict[str, object] = json.loads(encoded(of, (cell,)))
    return found[of.names[0]]


def test_a_line_is_an_object_with_the_names_of_the_columns_in_their_order() -> None:
    of = table(group('类"别'), measure("n", pa.int64()), measure("ok", pa.bool_()))
    written = encoded(of, ("电子", 1, True), (None, None, None))
    assert written == (
        '{"类\\"别":"电子","n":1,"ok":true}\n{"类\\"别":null,"n":null,"ok":null}\n'.encode()
    )


def test_an_export_without_rows_is_an_empty_file() -> None:
    assert encoded(table(group())) == b""


@given(st.lists(st.none() | TEXTS, max_size=6))
def test_every_text_can_be_read_back_from_its_line(texts: list[str | None]) -> None:
    of = table(group())
    written = encoded(of, *((text,) for text in texts))
    lines = written.split(b"\n")[:-1]
    assert [json.loads(line)["Category"] for line in lines] == texts
    # Only characters that JSON requires are escaped.
    for line, text in zip(lines, texts, strict=True):
        plain = json.dumps(text, ensure_ascii=False).replace("\\b", "\\u0008")
        assert line.decode() == '{"Category":' + plain.replace("\\f", "\\u000c") + "}"


@pytest.mark.parametrize("text", ["=1+1", "-1", "@x", "＝1"])
def test_a_text_that_looks_like_a_formula_is_not_changed(text: str) -> None:
    assert value(group(), text) == text


@pytest.mark.parametrize("number", [0, -1, LARGEST_SAFE, -LARGEST_SAFE])
def test_an_integer_that_a_double_can_hold_is_a_number(number: int) -> None:
    assert value(measure("n", pa.int64()), number) == number


@pytest.mark.parametrize("number", [LARGEST_SAFE + 1, -LARGEST_SAFE - 1, 2**63 - 1, -(2**63)])
def test_an_integer_that_a_double_may_change_is_a_string(number: int) -> None:
    assert value(measure("n", pa.int64()), number) == str(number)


def test_beside_a_large_integer_the_others_stay_numbers() -> None:
    of = table(measure("n", pa.int64()))
    rows = [(1,), (None,), (2**60,), (-3,)]
    lines = encoded(of, *rows).splitlines()
    assert [json.loads(line)["n"] for line in lines] == [1, None, str(2**60), -3]


def test_an_unsigned_integer_follows_the_same_rule() -> None:
    column = measure("n", pa.uint64())
    assert (value(column, 1), value(column, 2**64 - 1)) == (1, str(2**64 - 1))


@pytest.mark.parametrize("text", ["12.50", "-0.10", "0.00"])
def test_a_decimal_is_a_string_with_all_decimal_places(text: str) -> None:
    assert value(measure("d", pa.decimal128(38, 2)), Decimal(text)) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_a_number_that_reads_back_as_the_same_float(number: float) -> None:
    assert value(measure("f", pa.float64()), number) == number


@pytest.mark.parametrize(
    ("number", "text"), [("nan", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity")]
)
def test_a_float_that_json_has_no_number_for_is_a_string(number: str, text: str) -> None:
    of = table(measure("f", pa.float64()))
    first, second = encoded(of, (float(number),), (0.5,)).splitlines()
    assert (json.loads(first)["f"], json.loads(second)["f"]) == (text, 0.5)


def test_days_months_and_times_are_written_as_in_csv() -> None:
    moment = datetime(2026, 10, 31, 15, 4, 5, 120_000, tzinfo=UTC)
    of = table(DAY, MONTH, measure("t", pa.timestamp("ms", tz="Asia/Shanghai")))
    found = json.loads(encoded(of, (moment.date(), moment.date(), moment)))
    assert list(found.values()) == ["2026-10-31", "2026-10", "2026-10-31T23:04:05.120+08:00"]
