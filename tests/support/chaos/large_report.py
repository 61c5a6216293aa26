"""A report with few, very long rows: its file is uploaded in parts and made quickly."""

from collections.abc import AsyncGenerator

import pyarrow as pa
from pydantic import JsonValue

from exports.models import Unit
from exports.reports.described import ParamDescription
from exports.reports.report import Report, Rows
from exports.source.database import Source
from exports.tables.arrow import record_batch
from exports.tables.columns import Column, Sheet, field, schema

_ROWS = 120
_LETTERS = 100_000


class LargeReport(Report):
    """Twelve megabytes in 120 rows."""

    bulk = True

    def check_params(self, params: object) -> dict[str, JsonValue]:
        del params
        return {}

    def describe_params(self) -> list[ParamDescription]:
        return []

    def period(self, params: dict[str, JsonValue]) -> str:
        del params
        return "always"

    def units(self, params: dict[str, JsonValue]) -> list[Unit]:
        del params
        return [Unit(key=f"half-{half}", start=half, end=half + 1) for half in range(2)]

    async def read(
        self, source: Source, unit: Unit, *, params: dict[str, JsonValue], created_by: str
    ) -> AsyncGenerator[Rows]:
        del source, params, created_by
        first = unit.start * _ROWS // 2
        texts = [f"{first + row:06}" * (_LETTERS // 6) for row in range(_ROWS // 2)]
        column = Column(name="text", title="text", role="measure")
        rows = schema([field(column, pa.string())], Sheet(title="large", summary="large"))
        yield Rows(record_batch([pa.array(texts, pa.string())], rows))
