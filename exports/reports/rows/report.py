"""A row-level report, defined by a table with `kind = "rows"`: a row per document."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import date
from typing import TYPE_CHECKING

from pydantic import JsonValue

from exports.models import Unit
from exports.reports import periods
from exports.reports.defined import DefinedReport
from exports.reports.described import ParamDescription
from exports.reports.params import chosen
from exports.reports.relative import Span
from exports.reports.report import Rows
from exports.reports.rows.definition import FieldColumn, RowsDefinition
from exports.reports.rows.params import RowsParams, describe_period
from exports.reports.rows.reading import UnitReader, whole_period
from exports.source.database import Source
from exports.tables.columns import Sheet
from exports.tables.described import ColumnDescription

if TYPE_CHECKING:
    import pyarrow as pa


class RowsReport(DefinedReport[RowsDefinition, RowsParams]):
    """The documents of a period of days, one row each, in order of time and `_id`.

    The first unit is the whole period. What it does not read is divided into more units.
    """

    bulk = True
    spans = tuple(Span)

    def __init__(self, name: str, definition: RowsDefinition) -> None:
        super().__init__(name, definition, RowsParams, list(definition.columns))

    def describe_columns(self) -> list[ColumnDescription]:
        """See `Report.describe_columns`."""
        return [
            ColumnDescription(name=name, title=column.title or name, type=column.type)
            for name, column in self.definition.columns.items()
        ]

    def period(self, params: dict[str, JsonValue]) -> str:
        """See `Report.period`: `2026-10-01_2026-11-01`."""
        checked = self._params.model_validate(params)
        return f"{checked.first}_{checked.end}"

    def period_params(self, first: date, end: date) -> dict[str, JsonValue]:
        """See `Report.period_params`: any days."""
        return {"from": first.isoformat(), "to": end.isoformat()}

    def units(self, params: dict[str, JsonValue]) -> list[Unit]:
        """See `Report.units`: one for the whole period; more follow from its `rest`."""
        checked = self._params.model_validate(params)
        start, end = (periods.start_of_day(day, self._zone) for day in (checked.first, checked.end))
        return [whole_period(start, end)]

    async def read(
        self, source: Source, unit: Unit, *, params: dict[str, JsonValue], created_by: str
    ) -> AsyncGenerator[Rows]:
        """See `Report.read`.

        Raises:
            MismatchError: A value does not fit its column, and the report says to fail.
        """
        reader = UnitReader(
            self.definition,
            self._columns(params),
            Sheet(
                title=self.title,
                summary=self.summary(params),
                layout="rows",
                long_text=self.definition.long_text,
            ),
            source=source,
            unit=unit,
            created_by=created_by,
            conditions=self._conditions(params),
        )
        # Warnings and rest are known only at the end, and belong to the last rows: keep one back.
        last: pa.RecordBatch | None = None
        async with aclosing(reader.batches()) as batches:
            async for batch in batches:
                if last is not None:
                    yield Rows(last)
                last = batch
        if last is not None:  # there is at least one batch
            yield Rows(last, warnings=reader.warnings, rest=reader.rest)

    def _columns(self, params: dict[str, JsonValue]) -> Mapping[str, FieldColumn]:
        columns = self.definition.columns
        names = chosen(self._params.model_validate(params).columns, columns)
        return {name: columns[name] for name in names}

    def _period_params(self) -> list[ParamDescription]:
        return describe_period()

    def _example_period(self) -> dict[str, JsonValue]:
        return self.period_params(date(2026, 10, 1), date(2026, 11, 1))
