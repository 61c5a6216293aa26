"""A preview of a file: its columns, its first rows and, of statistics, what a chart shows."""

import json
from collections.abc import Iterable, Iterator
from typing import Final, cast

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, JsonValue

from exports.formats.ndjson import Ndjson
from exports.formats.period_totals import PeriodTotals
from exports.formats.text_arrays import is_text, join
from exports.models import WireModel
from exports.tables.arrow import (
    AnyArray,
    column_of,
    fields_of,
    is_decimal,
    kernel,
    record_batch,
    schema_of,
    types_of,
)
from exports.tables.columns import Column, columns_of, sheet_of
from exports.tables.described import ColumnDescription
from exports.tables.warnings import WarningCounts

MOST_ROWS: Final = 50
MOST_BYTES: Final = 256 * 1024
"""Bytes of a preview as JSON, without its columns."""
MOST_CHARACTERS: Final = 500
"""Characters of a text; a longer one is cut."""
_MOST_POINTS: Final = 1000
"""Of a chart."""
_CUT: Final = "…"


class Series(WireModel):
    """A line of a chart.

    Attributes:
        name: Name of the measure.
        title: Its title.
        values: One for each label; None is a gap.
    """

    name: str
    title: str
    values: list[float | None]


class Chart(WireModel):
    """What a chart of statistics shows: measures by day or by month, over all groups.

    Attributes:
        title: Title of the labels.
        labels: Days (`2026-10-31`) or months (`2026-10`), in order.
        series: The first two measures that can be combined over groups.
    """

    title: str
    labels: list[str]
    series: list[Series]


class Preview(WireModel):
    """A preview of a file.

    Attributes:
        columns: Its columns, in order.
        rows: Its first rows, 50 at most, as the format `ndjson` writes them. Fewer if they are
            large: a preview has at most 256 KiB.
        cut: Names of the columns in which a text was cut after 500 characters; it ends with `…`.
        chart: What a chart of statistics shows; None if there is nothing to draw.
    """

    columns: list[ColumnDescription]
    rows: list[dict[str, JsonValue]]
    cut: list[str] = Field(default_factory=list[str])
    chart: Chart | None = None


class PreviewMaker:
    """Makes a preview of the rows that go by.

    Args:
        schema: Made by `exports.tables.columns.schema`.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._columns = columns_of(schema)
        self._described = [
            ColumnDescription(name=item.name, title=item.title, type=_type_of(kind, item))
            for item, kind in zip(self._columns, types_of(schema), strict=True)
        ]
        self._totals = PeriodTotals(schema) if sheet_of(schema).layout == "stats" else None
        self._lines: list[bytes] = []
        self._bytes = 0
        self._cut: dict[str, None] = {}

    def watching(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the batches as they are."""
        for batch in batches:
            self._add(batch)
            yield batch

    def _add(self, batch: pa.RecordBatch) -> None:
        if self._totals is not None:
            self._totals.add(batch)
        if len(self._lines) < MOST_ROWS and self._bytes < MOST_BYTES:
            first = self._shortened(batch.slice(0, MOST_ROWS - len(self._lines)))
            pieces = Ndjson().encode(first.schema, [first], WarningCounts())
            lines = b"".join(pieces).splitlines()
            self._lines += lines
            self._bytes += sum(map(len, lines))

    @property
    def preview(self) -> Preview:
        """The preview; complete after the last batch."""
        chart = self._chart()
        left = MOST_BYTES - (len(chart.model_dump_json()) if chart else 0)
        rows: list[dict[str, JsonValue]] = []
        for line in self._lines:
            left -= len(line) + len(",")
            if left < 0:
                break
            rows.append(json.loads(line))
        return Preview(columns=self._described, rows=rows, cut=list(self._cut), chart=chart)

    def _shortened(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return rows without what is too long of their texts."""
        arrays = [self._short(item, column_of(rows, i)) for i, item in enumerate(self._columns)]
        fields = [
            field.with_type(array.type)
            for field, array in zip(fields_of(rows.schema), arrays, strict=True)
        ]
        return record_batch(arrays, schema_of(fields, rows.schema.metadata))

    def _short(self, column: Column, values: AnyArray) -> AnyArray:
        if not is_text(values.type):
            return values
        is_long = kernel("greater", kernel("utf8_length", values), MOST_CHARACTERS)
        if not pc.any(is_long).as_py():
            return values
        self._cut[column.name] = None
        begin = kernel(
            "utf8_slice_codeunits", values, options=pc.SliceOptions(start=0, stop=MOST_CHARACTERS)
        )
        texts = cast("pa.StringArray", begin.cast(pa.string()))
        return kernel("if_else", is_long, join(texts, _CUT), texts)

    def _chart(self) -> Chart | None:
        points = self._totals.rows() if self._totals is not None else []
        if self._totals is None or not 0 < len(points) <= _MOST_POINTS:
            return None
        period, *measures = self._totals.columns
        by_month = period.period == "month"
        return Chart(
            title=period.title,
            labels=[f"{day:%Y-%m}" if by_month else day.isoformat() for day, _ in points],
            series=[
                Series(
                    name=measure.name,
                    title=measure.title,
                    values=[values[index] for _, values in points],
                )
                for index, measure in enumerate(measures)
            ],
        )


def _type_of(kind: pa.DataType, column: Column) -> str:
    if pa.types.is_date(kind):
        return "month" if column.period == "month" else "date"
    if pa.types.is_timestamp(kind):
        return "datetime"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    if is_decimal(kind):
        return "decimal"
    return "number" if pa.types.is_floating(kind) else "text"
