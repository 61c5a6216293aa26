"""A statistics report, defined by a `[reports.NAME]` table: a row per day or month, and group."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from pydantic import JsonValue

from exports.models import Unit
from exports.reports import periods
from exports.reports.defined import DefinedReport
from exports.reports.definition import StatsDefinition
from exports.reports.described import ParamDescription
from exports.reports.params import (
    MonthParams,
    YearParams,
    chosen,
    describe_numbers,
)
from exports.reports.relative import Span
from exports.reports.report import Rows
from exports.reports.stats.columns import Row, column_named, described
from exports.reports.stats.pipeline import PERIOD, build
from exports.source.database import Source, Stage
from exports.source.values import not_one_date
from exports.tables.arrow import record_batch
from exports.tables.columns import Sheet, field, schema
from exports.tables.described import ColumnDescription
from exports.tables.warnings import WarningCounts

_ROWS_PER_BATCH: Final = 1000


class StatsReport(DefinedReport[StatsDefinition, YearParams]):
    """Statistics over one month, by day, or over one year, by month.

    A unit is a month. It has a row per day and group, few enough to be held in memory at once,
    because the Arrow type of a column depends on all of its values. Without groups, every day of
    the month or every month of the year has a row; with groups, only those that have documents.
    """

    def __init__(self, name: str, definition: StatsDefinition) -> None:
        super().__init__(
            name,
            definition,
            MonthParams if definition.period == "month" else YearParams,
            [definition.row_period, *definition.group_by, *definition.measures],
        )
        self._by_month = definition.period == "month"
        self.spans = (Span.MONTH,) if self._by_month else (Span.YEAR,)

    def describe_columns(self) -> list[ColumnDescription]:
        """See `Report.describe_columns`."""
        return described(self.definition)

    def narrow_by(self) -> list[str]:
        """See `Report.narrow_by`: its period can't be shorter."""
        return super().narrow_by()[1:]

    def period(self, params: dict[str, JsonValue]) -> str:
        """See `Report.period`."""
        checked = self._params.model_validate(params)
        if isinstance(checked, MonthParams):
            return periods.month_key(date(checked.year, checked.month, 1))
        return str(checked.year)

    def period_params(self, first: date, end: date) -> dict[str, JsonValue]:
        """See `Report.period_params`: a month or a year."""
        del end
        return {"year": first.year, **({"month": first.month} if self._by_month else {})}

    def units(self, params: dict[str, JsonValue]) -> list[Unit]:
        """See `Report.units`: one month, or the twelve months of a year."""
        checked = self._params.model_validate(params)
        if isinstance(checked, MonthParams):
            found = [periods.month(checked.year, checked.month, self._zone)]
        else:
            found = periods.months(checked.year, self._zone)
        return [
            Unit(key=periods.month_key(item.label), start=item.start, end=item.end)
            for item in found
        ]

    async def read(
        self,
        source: Source,
        unit: Unit,
        *,
        params: dict[str, JsonValue],
        created_by: str,
    ) -> AsyncGenerator[Rows]:
        """See `Report.read`.

        Raises:
            MismatchError: The time field of a document is not one date; or a value does not have
                the type of its column, and the report says to fail.
        """
        pipeline = self.pipeline(unit, created_by, params)
        documents = await source.aggregate(self.collection, pipeline)
        # In a thread, so that heartbeats are sent while a large result is converted.
        batch, warnings, _ = await asyncio.to_thread(self.rows, unit, documents, params)
        for start in range(0, max(1, batch.num_rows), _ROWS_PER_BATCH):
            yield Rows(batch.slice(start, _ROWS_PER_BATCH), () if start else warnings)

    @property
    def collection(self) -> str:
        """The collection that is read."""
        return self.definition.collection

    def pipeline(self, unit: Unit, created_by: str, params: dict[str, JsonValue]) -> list[Stage]:
        """Return the aggregation of one unit for a user, who has asked with these parameters."""
        labels = self._labels(unit)
        return build(
            self.definition,
            unit,
            labels=(labels[0].isoformat(), labels[-1].isoformat()),
            created_by=created_by,
            conditions=self._conditions(params),
        )

    def rows(
        self,
        unit: Unit,
        documents: list[dict[str, Any]],
        params: dict[str, JsonValue],
    ) -> Rows:
        """Return the rows of one unit.

        Args:
            unit: The unit.
            documents: The result of its `pipeline`.
            params: The parameters, which say which columns are shown.

        Raises:
            MismatchError: The time field of a document is not one date; or a value does not have
                the type of its column, and the report says to fail.
        """
        rows: Sequence[Row] = [(self._label(document), document) for document in documents]
        if not self.definition.group_by:
            rows = _with_empty(rows, self._labels(unit))
        warn = WarningCounts()
        shown = [
            column_named(name, self.definition, rows, warn)
            for name in chosen(self._params.model_validate(params).columns, self._names)
        ]
        batch = record_batch(
            [values for _, values in shown],
            schema(
                [field(column, values.type) for column, values in shown],
                Sheet(
                    title=self.title,
                    summary=self.summary(params),
                    grouped=bool(self.definition.group_by),
                ),
            ),
        )
        return Rows(batch, warn.warnings)

    def _labels(self, unit: Unit) -> list[date]:
        """Return the days of a unit, or its month."""
        month = periods.month_of_key(unit.key)
        if self.definition.row_period == "month":
            return [month]
        return [day.label for day in periods.days(month.year, month.month, self._zone)]

    def _label(self, document: dict[str, Any]) -> date:
        label: str | None = document["_id"][PERIOD]
        if label is None:
            raise not_one_date(self.definition.time_field)
        return date.fromisoformat(label)

    def _period_params(self) -> list[ParamDescription]:
        return describe_numbers(self._params)

    def _example_period(self) -> dict[str, JsonValue]:
        return self.period_params(date(2026, 10, 1), date(2026, 11, 1))


def _with_empty(rows: Sequence[Row], labels: Sequence[date]) -> list[Row]:
    found: dict[date, Mapping[str, Any]] = {label: {} for label in labels}
    found |= dict(rows)
    return sorted(found.items(), key=lambda row: row[0])
