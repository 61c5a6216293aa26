"""A report class as a team would write it: one row with the day before a date."""

from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
from pydantic import JsonValue

from exports import (
    Column,
    ParamDescription,
    ParamsError,
    Report,
    Rows,
    Sheet,
    Source,
    Unit,
    field,
    schema,
)


class Yesterday(Report):
    """One row, for the day before the parameter `today`."""

    def check_params(self, params: object) -> dict[str, JsonValue]:
        match params:
            case {"today": str(today)}:
                return {"today": date.fromisoformat(today).isoformat()}
            case _:
                raise ParamsError("The parameters are an object with: today.")

    def describe_params(self) -> list[ParamDescription]:
        return [ParamDescription(name="today", type="date", required=True, values="any")]

    def period(self, params: dict[str, JsonValue]) -> str:
        return str(params["today"])

    def units(self, params: dict[str, JsonValue]) -> list[Unit]:
        end = datetime.fromisoformat(str(params["today"])).replace(tzinfo=UTC)
        start = end - timedelta(days=1)
        key = start.date().isoformat()
        return [Unit.between(key, start, end)]

    async def read(
        self,
        source: Source,  # noqa: ARG002 -- this report reads no database
        unit: Unit,
        *,
        params: dict[str, JsonValue],  # noqa: ARG002 -- same
        created_by: str,  # noqa: ARG002 -- same
    ) -> AsyncGenerator[Rows]:
        day = pa.array([date.fromisoformat(unit.key)], pa.date32())
        column = Column(name="day", title="Day", role="period", period="day")
        sheet = Sheet(title=self.title, summary=f"{self.type} {unit.key}")
        batch = pa.record_batch([day], schema=schema([field(column, pa.date32())], sheet))
        yield Rows(batch)
