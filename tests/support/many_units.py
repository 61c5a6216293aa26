"""A report of many units, each of two rows, for simulations of large exports."""

from collections.abc import AsyncGenerator

import pyarrow as pa
from pydantic import JsonValue

from exports.models import Unit
from exports.reports.described import ParamDescription
from exports.reports.report import Report, Rows
from exports.source.database import Source
from exports.tables.arrow import record_batch
from exports.tables.columns import Column, Sheet, field, schema

_ROWS = schema(
    [field(Column(name="n", title="n", role="field"), pa.int64())],
    Sheet(title="many", summary="many", layout="rows"),
)


class ManyUnits(Report):
    """The parameters say how many: `units` at first, and `more` that each of them leaves."""

    def check_params(self, params: object) -> dict[str, JsonValue]:
        assert isinstance(params, dict)
        return {"units": 1, "more": 0, **params}

    def describe_params(self) -> list[ParamDescription]:
        return []

    def period(self, params: dict[str, JsonValue]) -> str:
        del params
        return "now"

    def units(self, params: dict[str, JsonValue]) -> list[Unit]:
        return [Unit(key=f"{n:05}", start=n, end=n + 1) for n in range(int(str(params["units"])))]

    async def read(
        self, source: Source, unit: Unit, *, params: dict[str, JsonValue], created_by: str
    ) -> AsyncGenerator[Rows]:
        del source, created_by
        more = 0 if "-" in unit.key else int(str(params["more"]))
        rest = [unit.model_copy(update={"key": f"{unit.key}-{n:05}"}) for n in range(more)]
        rows = record_batch([pa.array([unit.start], pa.int64())], _ROWS)
        yield Rows(rows)
        yield Rows(rows, rest=rest)
