"""A row-level report, defined by a table with `kind = "rows"`: a row per document."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from exports.models import Unit
from exports.reports import periods
from exports.reports.fingerprint import of_definition
from exports.reports.params import ParamDescription, chosen, validate
from exports.reports.report import Report, Rows
from exports.reports.rows.definition import FieldColumn, RowsDefinition
from exports.reports.rows.params import RowsParams, describe_rows
from exports.reports.rows.reading import UnitReader, whole_period
from exports.source.database import Source
from exports.tables.columns import Sheet

if TYPE_CHECKING:
    import pyarrow as pa


class RowsReport(Report):
    """The documents of a period of days, one row each, in order of time and `_id`.

    The first unit is the whole period. What it does not read is divided into more units.
    """

    bulk = True

    def __init__(self, name: str, definition: RowsDefinition) -> None:
        super().__init__(name, definition.title)
        self._definition = definition
        self.per_person = definition.owner_field is not None
        self.quota_open, self.quota_per_day = definition.quota.open, definition.quota.per_day
        self._zone = ZoneInfo(definition.timezone)

    @property
    def definition(self) -> RowsDefinition:
        """What the reports file says."""
        return self._definition

    @cached_property
    def fingerprint(self) -> str:
        """See `Report.fingerprint`."""
        return of_definition(self.type, self._definition)

    def check_params(self, params: object) -> dict[str, JsonValue]:
        """See `Report.check_params`."""
        checked = validate(RowsParams, params, report=self.type)
        chosen(checked.columns, self._definition.columns)
        return checked.model_dump(mode="json", by_alias=True, exclude_none=True)

    def describe_params(self) -> list[ParamDescription]:
        """See `Report.describe_params`."""
        return describe_rows(list(self._definition.columns))

    def period(self, params: dict[str, JsonValue]) -> str:
        """See `Report.period`: `2026-10-01_2026-11-01`."""
        checked = RowsParams.model_validate(params)
        return f"{checked.first}_{checked.end}"

    def units(self, params: dict[str, JsonValue]) -> list[Unit]:
        """See `Report.units`: one for the whole period; more follow from its `rest`."""
        checked = RowsParams.model_validate(params)
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
            self._definition,
            self._columns(params),
            Sheet(
                title=self.title,
                summary=self.summary(params),
                layout="rows",
                long_text=self._definition.long_text,
            ),
            source=source,
            unit=unit,
            created_by=created_by,
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
        columns = self._definition.columns
        names = chosen(RowsParams.model_validate(params).columns, columns)
        return {name: columns[name] for name in names}
