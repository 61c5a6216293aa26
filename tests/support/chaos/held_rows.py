"""A report that stages one part and then never ends."""

import asyncio
from collections.abc import AsyncGenerator

import pyarrow as pa
from pydantic import JsonValue

from exports.models import Unit
from exports.reports.report import Rows
from exports.source.database import Source
from exports.tables.arrow import record_batch
from exports.tables.columns import Column, Sheet, field, schema
from tests.support.held_report import HeldReport


class HeldRows(HeldReport):
    """One row that is staged, and then nothing more."""

    async def read(
        self,
        source: Source,
        unit: Unit,
        *,
        params: dict[str, JsonValue],
        created_by: str,
    ) -> AsyncGenerator[Rows]:
        del source, unit, params, created_by
        # Rows with other column types begin a new part, so the part before is written.
        for kind in (pa.int64(), pa.int32()):
            column = field(Column(name="n", title="n", role="measure", total="sum"), kind)
            yield Rows(
                record_batch(
                    [pa.array([1], kind)], schema([column], Sheet(title="held", summary="held"))
                )
            )
        await asyncio.Event().wait()
