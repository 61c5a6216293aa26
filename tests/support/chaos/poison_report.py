"""A report that kills the worker that reads it, and a harmless one that runs at the same time."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator

import pyarrow as pa
from pydantic import JsonValue

from exports.models import Unit
from exports.reports.described import ParamDescription
from exports.reports.report import Report, Rows
from exports.source.database import Source
from exports.tables.arrow import record_batch
from exports.tables.columns import Column, Sheet, field, schema

_DEADLY_AFTER = 0.3
_GOOD_AFTER = 1.0  # longer, so that exports on the same worker are hit as well


class PoisonReport(Report):
    """One row; `{"deadly": true}` kills the process before it."""

    def check_params(self, params: object) -> dict[str, JsonValue]:
        match params:
            case {"deadly": bool(deadly)}:
                return {"deadly": deadly}
            case _:
                return {"deadly": False}

    def describe_params(self) -> list[ParamDescription]:
        return []

    def period(self, params: dict[str, JsonValue]) -> str:
        return "deadly" if params["deadly"] else "good"

    def units(self, params: dict[str, JsonValue]) -> list[Unit]:
        del params
        return [Unit(key="only", start=0, end=1)]

    async def read(
        self, source: Source, unit: Unit, *, params: dict[str, JsonValue], created_by: str
    ) -> AsyncGenerator[Rows]:
        del source, unit, created_by
        if params["deadly"]:
            await asyncio.sleep(_DEADLY_AFTER)
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(_GOOD_AFTER)
        rows = schema(
            [field(Column(name="n", title="n", role="measure", total="sum"), pa.int64())],
            Sheet(title="good", summary="good"),
        )
        yield Rows(record_batch([pa.array([1], pa.int64())], rows))
