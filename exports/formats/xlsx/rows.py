"""Excel workbooks of many rows: written as the rows come, in as many sheets as they need.

Only the rows are written here; see `exports.formats.xlsx.parts` for everything around them.
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
from exports.formats.xlsx.cells import MAX_COLUMNS, MAX_ROWS
from exports.formats.xlsx.parts import parts_of, sheet_file
from exports.formats.xlsx.xml import RowXml
from exports.tables.arrow import record_batch
from exports.tables.columns import columns_of, sheet_of
from exports.tables.warnings import WarningCounts

_LEVEL: Final = 1  # of zlib: half the time of its usual 6, for a file a quarter larger
_CELLS_AT_ONCE: Final = 500_000  # some tens of megabytes of XML
_HEADING: Final = 1  # row
# Programs tell a workbook from another archive by its first files, and these never change.
_FIRST_FILES: Final = ("_rels/.rels", "docProps/core.xml", "xl/theme/theme1.xml", "xl/styles.xml")


@dataclass(frozen=True)
class Limits:
    """Where a sheet and a file end.

    The file has no need of the 64-bit extension of its container, which not every program reads:
    Python's zipfile writes files of up to 2 GiB without it.

    Attributes:
        rows: Of a sheet, the heading included.
        sheet_bytes: XML after which a sheet takes no more rows.
        file_bytes: Size of the file, in bytes, after which it is given up.
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
    """Encode rows as xlsx; see `exports.formats.base.FileFormat.encode`.

    Yields:
        Pieces of the file, as the rows come.

    Raises:
        FormatLimitError: There are more columns than Excel takes, a text is longer than a cell
            can be and the report does not allow to cut it, or the file would be larger than
            2 GiB.
        TypeError: A column has a type that no export has.
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
    def __init__(self, schema: pa.Schema, warn: WarningCounts, limits: Limits) -> None:
        columns = columns_of(schema)
        if len(columns) > MAX_COLUMNS:
            raise FormatLimitError(
                f"An xlsx file takes {MAX_COLUMNS:,} columns and there are more; csv has no such"
                " limit."
            )
        self._schema = schema
        self._most_rows = max(1, _CELLS_AT_ONCE // max(1, len(columns)))
        self._limits = limits
        self._parts = parts_of(schema, [_HEADING])
        self._body = RowXml(self._parts.cells, sheet_of(schema).long_text, warn)
        self._heading = RowXml(self._parts.heading, "fail", warn)
        self._titles = record_batch(
            [pa.array([column.title]) for column in columns],
            pa.schema([pa.field(column.name, pa.string()) for column in columns]),
        )
        self._rows: list[int] = []  # of each sheet, its heading included
        self._sheet: IO[bytes] | None = None
        self._sheet_bytes = 0
        self.file = Pieces()
        self._archive = ZipFile(
            self.file, "w", ZIP_DEFLATED, allowZip64=False, compresslevel=_LEVEL
        )
        for name in _FIRST_FILES:
            self._add_file(name, self._parts.others[name])

    def add(self, rows: pa.RecordBatch) -> None:
        """Write some rows, in a further sheet where one is full."""
        while rows.num_rows:
            sheet = self._sheet or self._begin_sheet()
            done = self._rows[-1]
            fitting = rows.slice(0, min(self._limits.rows - done, self._most_rows))
            xml = self._body.rows(fitting, sheet=len(self._rows), first=done + 1)
            self._write(sheet, xml)
            self._rows[-1] += fitting.num_rows
            rows = rows.slice(fitting.num_rows)
            if self._rows[-1] >= self._limits.rows or self._sheet_bytes >= self._limits.sheet_bytes:
                self._end_sheet(sheet)

    def finish(self) -> None:
        """Write what is left when all rows are there."""
        if not self._rows:
            self._begin_sheet()
        if self._sheet is not None:
            self._end_sheet(self._sheet)
        for name, data in self._parts.others.items():
            if name not in _FIRST_FILES:
                self._add_file(name, data)

    def close(self) -> None:
        """Write the archive's directory; of a file that is given up, nobody reads it."""
        if self._sheet is not None:
            self._sheet.close()
        self._archive.close()

    def _add_file(self, name: str, data: bytes) -> None:
        # Unlike `writestr`, this does not write what time it is.
        with self._archive.open(name, "w") as file:
            file.write(data)

    def _begin_sheet(self) -> IO[bytes]:
        self._rows.append(_HEADING)
        number = len(self._rows)
        self._sheet = sheet = self._archive.open(sheet_file(number), "w")
        self._sheet_bytes = 0
        if number > 1:
            self._parts = parts_of(self._schema, self._rows)
        self._write(sheet, self._parts.heads[-1])
        self._write(sheet, self._heading.rows(self._titles, sheet=number, first=1))
        return sheet

    def _end_sheet(self, sheet: IO[bytes]) -> None:
        self._parts = parts_of(self._schema, self._rows)
        self._write(sheet, self._parts.tails[-1])
        sheet.close()
        self._sheet = None

    def _write(self, sheet: IO[bytes], xml: bytes) -> None:
        sheet.write(xml)
        self._sheet_bytes += len(xml)
        if self.file.tell() > self._limits.file_bytes:
            raise FormatLimitError(
                "The rows make an xlsx file larger than 2 GiB; csv has no such limit."
            )
