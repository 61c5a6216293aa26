"""Excel workbooks of many rows: written as the rows come, in as many sheets as they need.

Only the rows are written here; see `exports.formats.xlsx.template` for everything around them.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import IO, Final
from zipfile import ZIP_DEFLATED, ZipFile

import pyarrow as pa

from exports.errors import FormatLimitError
from exports.formats.pieces import Pieces
from exports.formats.text_arrays import slices
from exports.formats.xlsx.cells import MAX_ROWS
from exports.formats.xlsx.sheet import check_column_count
from exports.formats.xlsx.template import sheet_file, template_of
from exports.formats.xlsx.xml import RowWriter
from exports.tables.arrow import record_batch
from exports.tables.columns import columns_of, sheet_of
from exports.tables.warnings import WarningCounts

_COMPRESSION_LEVEL: Final = 1
"""Level of zlib. It takes half the time of the default, 6, and the file is a quarter larger."""
_CELLS_AT_ONCE: Final = 40_000
"""How many cells are turned into XML at once: some 3 MB, which the allocator keeps for the next."""
_HEADING_ROWS: Final = 1
# Programs recognize a workbook by the first files in the archive. These never change.
_FIRST_FILES: Final = ("_rels/.rels", "docProps/core.xml", "xl/theme/theme1.xml", "xl/styles.xml")


@dataclass(frozen=True)
class Limits:
    """Limits of a sheet and of a file.

    The file does not need the 64-bit extension of its container, which not every program can
    read: Python's zipfile writes files of up to 2 GiB without it.

    Attributes:
        rows: The most rows of a sheet, the heading included.
        sheet_bytes: A sheet whose XML has reached this size, in bytes, takes no more rows.
        file_bytes: The largest size of the file, in bytes.
    """

    rows: int = MAX_ROWS
    sheet_bytes: int = 3 << 29
    file_bytes: int = 2**31 - 2**24


_EXCEL: Final = Limits()


def encode_rows(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    warn: WarningCounts,
    limits: Limits = _EXCEL,
) -> Iterator[bytes]:
    """Encode rows as xlsx; see `FileFormat.encode`.

    Yields:
        Pieces of the file, as the rows come.

    Raises:
        FormatLimitError: There are more columns than a sheet can hold, a text is longer than a
            cell can hold and the report does not allow to cut it, or the file would be larger
            than 2 GiB.
        TypeError: A column has a type that exports do not have.
    """
    with closing(_Workbook(schema, warn, limits)) as workbook:
        for batch in batches:
            for rows in slices(batch):
                workbook.add(rows)
                if piece := workbook.file.take():
                    yield piece
        workbook.finish()
    yield workbook.file.take()


class _Workbook:
    """A workbook that is being written.

    Attributes:
        file: What was written and not yet handed on.
    """

    def __init__(self, schema: pa.Schema, warn: WarningCounts, limits: Limits) -> None:
        columns = columns_of(schema)
        check_column_count(columns)
        self._schema = schema
        self._warn = warn
        self._max_rows_at_once = max(1, _CELLS_AT_ONCE // max(1, len(columns)))
        self._limits = limits
        self._template = template_of(schema, [_HEADING_ROWS], warn)
        self._body = RowWriter(self._template.columns, sheet_of(schema).long_text, warn)
        self._heading = RowWriter(self._template.headings, "fail", warn)
        self._titles = record_batch(
            [pa.array([column.title]) for column in columns],
            pa.schema([pa.field(column.name, pa.string()) for column in columns]),
        )
        self._rows: list[int] = []  # in each sheet, its heading included
        self._sheet: IO[bytes] | None = None
        self._sheet_bytes = 0
        self.file = Pieces()
        self._archive = ZipFile(
            self.file, "w", ZIP_DEFLATED, allowZip64=False, compresslevel=_COMPRESSION_LEVEL
        )
        for name in _FIRST_FILES:
            self._add_file(name, self._template.others[name])

    def add(self, rows: pa.RecordBatch) -> None:
        """Write some rows; begin the next sheet when one is full."""
        while rows.num_rows:
            sheet = self._sheet or self._begin_sheet()
            done = self._rows[-1]
            fitting = rows.slice(0, min(self._limits.rows - done, self._max_rows_at_once))
            xml = self._body.xml_of(fitting, sheet=len(self._rows), first=done + 1)
            self._write(sheet, xml)
            self._rows[-1] += fitting.num_rows
            rows = rows.slice(fitting.num_rows)
            if self._rows[-1] >= self._limits.rows or self._sheet_bytes >= self._limits.sheet_bytes:
                self._end_sheet(sheet)

    def finish(self) -> None:
        """Write the rest after the last row."""
        if not self._rows:
            self._begin_sheet()
        if self._sheet is not None:
            self._end_sheet(self._sheet)
        for name, data in self._template.others.items():
            if name not in _FIRST_FILES:
                self._add_file(name, data)

    def close(self) -> None:
        """Write the archive's directory. After an error, the file is not used."""
        if self._sheet is not None:
            self._sheet.close()
        self._archive.close()

    def _add_file(self, name: str, data: bytes) -> None:
        # Unlike `writestr`, this does not write the present time.
        with self._archive.open(name, "w") as file:
            file.write(data)

    def _begin_sheet(self) -> IO[bytes]:
        self._rows.append(_HEADING_ROWS)
        number = len(self._rows)
        self._sheet = sheet = self._archive.open(sheet_file(number), "w")
        self._sheet_bytes = 0
        if number > 1:
            self._template = template_of(self._schema, self._rows, self._warn)
        self._write(sheet, self._template.heads[-1])
        self._write(sheet, self._heading.xml_of(self._titles, sheet=number, first=1))
        return sheet

    def _end_sheet(self, sheet: IO[bytes]) -> None:
        self._template = template_of(self._schema, self._rows, self._warn)
        self._write(sheet, self._template.tails[-1])
        sheet.close()
        self._sheet = None

    def _write(self, sheet: IO[bytes], xml: bytes) -> None:
        sheet.write(xml)
        self._sheet_bytes += len(xml)
        if self.file.tell() > self._limits.file_bytes:
            raise FormatLimitError(
                "The xlsx file would be larger than 2 GiB, which is the limit; csv has no such"
                " limit."
            )
