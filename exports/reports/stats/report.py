"""A statistics report, defined by a `[reports.NAME]` table: a row per day or month, and group."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from exports.models import Unit
from exports.reports import periods
from exports.reports.definition import StatsDefinition
from exports.reports.fingerprint import of_definition
from exports.reports.params import (
    MonthParams,
    ParamDescription,
    YearParams,
    chosen,
    describe,
    validate,
)
from exports.reports.report import Report, Rows
from exports.reports.stats.columns import Row, column_named
from exports.reports.stats.pipeline import PERIOD, build
from exports.source.database import Source, Stage
from exports.source.values import not_one_date
from exports.tables.arrow import record_batch
from exports.tables.columns import Sheet, field, schema
from exports.tables.warnings import WarningCounts

_ROWS_PER_BATCH: Final = 1000


class StatsReport(Report):
    """Statistics over one month, by day, or over one year, by month.

    A unit is a month. It has a row per day and group, few enough to be held in memory at once,
    because the Arrow type of a column depends on all of its values. Without groups, every day of
    the month or every month of the year has a row; with groups, only those that have documents.
    """

    def __init__(self, name: str, definition: StatsDefinition) -> None:
        super().__init__(name, definition.title)
        self._definition = definition
        self.per_person = definition.owner_field is not None
        self.quota_open, self.quota_per_day = definition.quota.open, definition.quota.per_day
        self._zone = ZoneInfo(definition.timezone)
        self._params = MonthParams if definition.period == "month" else YearParams
        self._names = [definition.row_period, *definition.group_by, *definition.measures]

    @property
    def definition(self) -> StatsDefinition:
        """What the reports file says."""
        return self._definition

    @cached_property
    def fingerprint(self) -> str:
        """See `Report.fingerprint`."""
        return of_definition(self.type, self._definition)

    def check_params(self, params: object) -> dict[str, JsonValue]:
        """See `Report.check_params`."""
        checked = validate(self._params, params, report=self.type)
        chosen(checked.columns, self._names)
        return checked.model_dump(exclude_none=True)

    def describe_params(self) -> list[ParamDescription]:
        """See `Report.describe_params`."""
        return describe(self._params, self._names)

    def period(self, params: dict[str, JsonValue]) -> str:
        """See `Report.period`."""
        checked = self._params.model_validate(params)
        if isinstance(checked, MonthParams):
            return periods.month_key(date(checked.year, checked.month, 1))
        return str(checked.year)

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
        documents = await source.aggregate(self.collection, self.pipeline(unit, created_by))
        # In a thread, so that heartbeats are sent while a large result is converted.
        columns = self._params.model_validate(params).columns
        batch, warnings, _ = await asyncio.to_thread(self.rows, unit, documents, columns)
        for start in range(0, max(1, batch.num_rows), _ROWS_PER_BATCH):
            yield Rows(batch.slice(start, _ROWS_PER_BATCH), () if start else warnings)

    @property
    def collection(self) -> str:
        """The collection that is read."""
        return self._definition.collection

    def pipeline(self, unit: Unit, created_by: str) -> list[Stage]:
        """Return the aggregation of one unit for a user."""
        labels = self._labels(unit)
        return build(
            self._definition,
            unit,
            labels=(labels[0].isoformat(), labels[-1].isoformat()),
            created_by=created_by,
        )

    def rows(
        self,
        unit: Unit,
        documents: list[dict[str, Any]],
        columns: Sequence[str] | None = None,
    ) -> Rows:
        """Return the rows of one unit.

        Args:
            unit: The unit.
            documents: The result of its `pipeline`.
            columns: Which columns, in this order; None for all.

        Raises:
            MismatchError: The time field of a document is not one date; or a value does not have
                the type of its column, and the report says to fail.
        """
        rows: Sequence[Row] = [(self._label(document), document) for document in documents]
        if not self._definition.group_by:
            rows = _with_empty(rows, self._labels(unit))
        warn = WarningCounts()
        shown = [
            column_named(name, self._definition, rows, warn)
            for name in chosen(columns, self._names)
        ]
        summary = f"{self.type} {self._period_of(periods.month_of_key(unit.key))}"
        batch = record_batch(
            [values for _, values in shown],
            schema(
                [field(described, values.type) for described, values in shown],
                Sheet(title=self.title, summary=summary, grouped=bool(self._definition.group_by)),
            ),
        )
        return Rows(batch, warn.warnings)

    def _labels(self, unit: Unit) -> list[date]:
        """Return the days of a unit, or its month."""
        month = periods.month_of_key(unit.key)
        if self._definition.row_period == "month":
            return [month]
        return [day.label for day in periods.days(month.year, month.month, self._zone)]

    def _label(self, document: dict[str, Any]) -> date:
        label: str | None = document["_id"][PERIOD]
        if label is None:
            raise not_one_date(self._definition.time_field)
        return date.fromisoformat(label)

    def _period_of(self, month: date) -> str:
        by_month = self._definition.period == "month"
        return periods.month_key(month) if by_month else str(month.year)


def _with_empty(rows: Sequence[Row], labels: Sequence[date]) -> list[Row]:
    found: dict[date, Mapping[str, Any]] = {label: {} for label in labels}
    found |= dict(rows)
    return sorted(found.items(), key=lambda row: row[0])
