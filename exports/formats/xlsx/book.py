"""Excel workbooks: a table for people, and a chart."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow as pa
from xlsxwriter import Workbook
from xlsxwriter.exceptions import FileSizeError

from exports.errors import FormatLimitError
from exports.formats.base import FileFormat
from exports.formats.period_totals import PeriodTotals
from exports.formats.totals import total_of
from exports.formats.xlsx.about import add_about
from exports.formats.xlsx.cells import (
    MAX_ROWS,
    PlainWorksheet,
    cell_look,
    display_width,
    number_format,
    write_cell,
)
from exports.formats.xlsx.chart import add_chart
from exports.formats.xlsx.names import chart_sheet_name, sheet_name
from exports.formats.xlsx.rows import encode_rows
from exports.formats.xlsx.sheet import (
    MAX_WIDTH,
    PADDING,
    check_column_count,
    filled_heading_look,
    heading_width,
    set_properties,
    set_up_table,
)
from exports.tables.arrow import types_of, values_of
from exports.tables.columns import about_of, columns_of, sheet_of
from exports.tables.warnings import WarningCounts

_PIECE_BYTES: Final = 1 << 20
_MIN_WIDTH: Final = 8
"""The narrowest column, in digits."""
_TOTAL_LABEL: Final = "Total"


class Xlsx(FileFormat):
    """A sheet with typed cells and a filter.

    Statistics have totals, and a second sheet with a native chart. Rows have neither; when a sheet
    is full, they continue in the next one (see `exports.formats.xlsx.rows`). The last sheet says
    which export it is, if that is known.

    No cell holds a formula or a link. Numbers of more than 15 significant digits are text, because
    Excel would change their last digits. A workbook of statistics is built in a temporary
    directory, which is removed when the generator ends or is closed; so memory holds one batch,
    and one value for each period.
    """

    name = "xlsx"
    extension = "xlsx"
    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

    def encode(
        self,
        schema: pa.Schema,
        batches: Iterable[pa.RecordBatch],
        warn: WarningCounts,
    ) -> Iterator[bytes]:
        """Encode rows as xlsx; see `FileFormat.encode`.

        Yields:
            Pieces of the file: statistics after all rows were read, rows as they come.

        Raises:
            FormatLimitError: There are more rows, columns or characters in a cell than Excel
                allows, or the file would be larger than 4 GiB (rows: 2 GiB).
            TypeError: A column has a type that exports do not have.
        """
        if sheet_of(schema).layout == "rows":
            yield from encode_rows(schema, batches, warn)
            return
        with TemporaryDirectory(prefix="export-xlsx-") as folder:
            path = Path(folder, "export.xlsx")
            _write(path, schema, batches, warn)
            with path.open("rb") as file:
                while piece := file.read(_PIECE_BYTES):
                    yield piece


def _write(
    path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], warn: WarningCounts
) -> None:
    workbook = Workbook(str(path), {"constant_memory": True, "tmpdir": str(path.parent)})
    try:
        _fill(workbook, schema, batches, warn)
        workbook.close()
    except FileSizeError:
        raise FormatLimitError(
            "The xlsx file would be larger than 4 GiB, which is the limit; csv has no such limit."
        ) from None
    finally:
        # After an error, XlsxWriter leaves its temporary files open.
        for sheet in workbook.worksheets():
            sheet.row_data_fh.close()


def _fill(
    workbook: Workbook, schema: pa.Schema, batches: Iterable[pa.RecordBatch], warn: WarningCounts
) -> None:
    about = sheet_of(schema)
    set_properties(workbook, about)
    table = _Table(workbook, schema, sheet_name(about.title))
    totals = PeriodTotals(schema)
    rows = 0
    for batch in batches:
        table.add(batch)
        totals.add(batch)
        rows += batch.num_rows
    table.finish()
    add_chart(workbook, chart_sheet_name(table.name), about, totals)
    add_about(workbook, about_of(schema), rows=rows, warn=warn)


class _Table:
    """The first sheet: heading, rows, totals.

    Attributes:
        name: The name of the sheet.
    """

    def __init__(self, workbook: Workbook, schema: pa.Schema, name: str) -> None:
        self.name = name
        self._columns = columns_of(schema)
        check_column_count(self._columns)
        kinds = types_of(schema)
        self._formats = [
            number_format(kind, column.period)
            for kind, column in zip(kinds, self._columns, strict=True)
        ]
        self._totals = [
            total_of(column.total, kind) for kind, column in zip(kinds, self._columns, strict=True)
        ]
        looks = [cell_look(kind, style) for kind, style in zip(kinds, self._formats, strict=True)]
        self._styles = [workbook.add_format(look) for look in looks]
        self._total_styles = [
            workbook.add_format({**look, "bold": True, "top": 1}) for look in looks
        ]
        self._label_style = workbook.add_format({"num_format": "@", "bold": True, "top": 1})
        self._widths = [heading_width(column) for column in self._columns]
        self._sheet = workbook.add_worksheet(name, worksheet_class=PlainWorksheet)
        self._rows = 1
        for index, (column, look) in enumerate(zip(self._columns, looks, strict=True)):
            style = workbook.add_format(filled_heading_look(look))
            write_cell(self._sheet, 0, index, column.title, style)

    def add(self, batch: pa.RecordBatch) -> None:
        """Write the rows of a batch."""
        if self._rows + batch.num_rows + self._totals_rows > MAX_ROWS:
            raise FormatLimitError(
                f"The export has more rows than fit into one sheet of an xlsx file: {MAX_ROWS:,}"
                " rows, heading and totals included; csv has no such limit."
            )
        values = values_of(batch)
        for row, cells in enumerate(zip(*values, strict=True), start=self._rows):
            for index, value in enumerate(cells):
                write_cell(self._sheet, row, index, value, self._styles[index])
        for index, column in enumerate(values):
            self._measure(index, column)
        self._rows += batch.num_rows

    def _measure(self, index: int, values: Iterable[object]) -> None:
        total = self._totals[index]
        for value in values:
            if value is not None:
                if total is not None:
                    total.add(value)
                width = display_width(value, self._formats[index])
                self._widths[index] = max(self._widths[index], width)

    def finish(self) -> None:
        """Write the totals, and everything that depends on the number of rows."""
        if self._totals_rows and self._rows > 1:
            self._write_totals()
        set_up_table(self._sheet, self._rows, len(self._columns))
        for index, width in enumerate(self._widths):
            self._sheet.set_column(index, index, min(max(width, _MIN_WIDTH), MAX_WIDTH) + PADDING)

    @property
    def _totals_rows(self) -> int:
        """How many rows the totals need: two if their label can't stand beside them."""
        if self._totals[0] is not None:
            return 2
        return int(any(total is not None for total in self._totals))

    def _write_totals(self) -> None:
        write_cell(self._sheet, self._rows, 0, _TOTAL_LABEL, self._label_style)
        row = self._rows + self._totals_rows - 1
        for index, total in enumerate(self._totals):
            value = total.value if total is not None else None
            style = self._total_styles[index]
            if index == 0 and total is None:
                continue  # the label is there
            if value is None:
                self._sheet.write_blank(row, index, None, style)
            else:
                write_cell(self._sheet, row, index, value, style)
                width = display_width(value, self._formats[index])
                self._widths[index] = max(self._widths[index], width)
