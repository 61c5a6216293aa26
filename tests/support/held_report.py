"""A report that waits for a file to appear before it yields a row, also in worker processes."""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pyarrow as pa
from pydantic import JsonValue

from exports.models import Unit
from exports.reports.described import ParamDescription
from exports.reports.report import Report, Rows
from exports.source.database import Source
from exports.tables.arrow import record_batch
from exports.tables.columns import Column, Sheet, field, schema

GATE = "HELD_REPORT_GATE"
"""The variable that names a folder. A waiting worker creates `reached-PID` and `reached-PID-TYPE`
there; the file `open` lets it go on."""


class HeldReport(Report):
    """One row, once the gate is open."""

    def check_params(self, params: object) -> dict[str, JsonValue]:
        del params
        return {}

    def describe_params(self) -> list[ParamDescription]:
        return []

    def period(self, params: dict[str, JsonValue]) -> str:
        del params
        return "now"

    def units(self, params: dict[str, JsonValue]) -> list[Unit]:
        del params
        return [Unit(key="only", start=0, end=1)]

    async def read(
        self,
        source: Source,
        unit: Unit,
        *,
        params: dict[str, JsonValue],
        created_by: str,
    ) -> AsyncGenerator[Rows]:
        del source, unit, params, created_by
        gate = Path(os.environ[GATE])
        (gate / f"reached-{os.getpid()}").touch()
        (gate / f"reached-{os.getpid()}-{self.type}").touch()
        while not (gate / "open").exists():
            await asyncio.sleep(0.02)
        rows = schema(
            [field(Column(name="n", title="n", role="measure", total="sum"), pa.int64())],
            Sheet(title="held", summary="held"),
        )
        yield Rows(record_batch([pa.array([1], pa.int64())], rows))


class HeldBulkReport(HeldReport):
    """The same, on the queue of heavy steps."""

    bulk = True
