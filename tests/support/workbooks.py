"""Reads xlsx files as other programs do."""

import io
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from zipfile import ZipFile

import pyarrow as pa
from openpyxl import Workbook, load_workbook
from openpyxl.cell.cell import Cell
from openpyxl.utils.escape import unescape
from openpyxl.worksheet.worksheet import Worksheet

from exports.formats.xlsx.book import Xlsx
from exports.formats.xlsx.rows import Limits, encode_rows
from exports.tables.warnings import WarningCounts
from tests.support.rows import batch, measure, table


def encoded(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> bytes:
    return b"".join(Xlsx().encode(schema, batches, WarningCounts()))


def encoded_rows(of: pa.Schema, *batches: pa.RecordBatch, limits: Limits | None = None) -> bytes:
    return b"".join(encode_rows(of, batches, WarningCounts(), limits or Limits()))


def opened(data: bytes) -> Workbook:
    return load_workbook(io.BytesIO(data))


def first_sheet(data: bytes) -> Worksheet:
    sheet = opened(data).worksheets[0]
    assert isinstance(sheet, Worksheet)
    return sheet


def cells(data: bytes) -> list[list[object]]:
    """The values of the first sheet with its heading; escaped characters are unescaped."""
    return [
        [_unescaped(value) for value in row]
        for row in first_sheet(data).iter_rows(values_only=True)
    ]


def _unescaped(value: object) -> object:
    return unescape(value) if isinstance(value, str) else value


def xml_files(data: bytes) -> dict[str, str]:
    """The XML files in the workbook, by name."""
    with ZipFile(io.BytesIO(data)) as file:
        assert file.testzip() is None
        return {name: file.read(name).decode() for name in file.namelist()}


def assert_inert(data: bytes) -> None:
    """No sheet has a formula or a link, and no file in the workbook refers to something outside."""
    for name, xml in xml_files(data).items():
        if name.startswith("xl/worksheets/sheet"):
            assert not re.search(r"<(\w+:)?(f|hyperlink|hyperlinks)[\s/>]", xml), name
        if name.endswith(".rels"):
            assert "External" not in xml, name


def cell(value: object, kind: pa.DataType) -> Cell:
    """The cell in which a single value is stored."""
    sheet = first_sheet(encoded(of := table(measure("m", kind)), [batch(of, (value,))]))
    found = sheet["A2"]
    assert isinstance(found, Cell)
    return found


def midnight(year: int, month: int, day: int) -> datetime:
    """A day as openpyxl reads it: a time without a zone, because Excel has no time zones."""
    return datetime(year, month, day, tzinfo=UTC).replace(tzinfo=None)
