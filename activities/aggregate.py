"""Source rows to staged parts: the only step that reads the reports' database."""

import hashlib
from datetime import timedelta

import pyarrow as pa
from pymongo.asynchronous.database import AsyncDatabase
from temporalio import activity

from activities.boundary import Attempt, Attempts, in_thread
from exports import names, staging
from exports.models import AggregateInput, Stage, StagedPart, StagedUnit
from exports.objects import ObjectStore
from exports.reports import ReportCatalog
from exports.task_collection import Stored


class AggregateActivities:
    """Stages the rows of one unit.

    Args:
        attempts: Keeps the document true.
        reports: The configured reports.
        source: The database that the reports read.
        store: Where the parts are staged.
        query_timeout: Longest time of one aggregation.
    """

    def __init__(
        self,
        *,
        attempts: Attempts,
        reports: ReportCatalog,
        source: AsyncDatabase[Stored],
        store: ObjectStore,
        query_timeout: timedelta,
    ) -> None:
        self._attempts = attempts
        self._reports = reports
        self._source = source
        self._store = store
        self._query_timeout = query_timeout

    @activity.defn(name=names.AGGREGATE)
    async def aggregate(self, ask: AggregateInput) -> StagedUnit:
        """Read one unit and stage its rows under keys of this attempt alone."""
        async with self._attempts.at(
            Stage.AGGREGATE, ask.task, retries_before=ask.retries_before, rows=ask.rows_before
        ) as attempt:
            report = self._reports.named(ask.plan.type)
            batches = report.read(
                self._source,
                ask.unit,
                created_by=ask.plan.created_by,
                query_timeout=self._query_timeout,
            )
            parts: list[StagedPart] = []
            async for batch in batches:
                parts.append(await self._staged(ask, attempt, batch, index=len(parts)))
                attempt.rows += batch.num_rows
            return StagedUnit(
                unit=ask.unit.key,
                parts=parts,
                rows=sum(part.rows for part in parts),
                retries=attempt.retries,
            )

    async def _staged(
        self, ask: AggregateInput, attempt: Attempt, batch: pa.RecordBatch, *, index: int
    ) -> StagedPart:
        key = names.staged_part_key(
            ask.task.task_id, ask.task.run_id, unit=ask.unit.key, attempt=attempt.key, index=index
        )

        def put() -> bytes:
            data = staging.encode_part(batch.schema, [batch])
            self._store.put(key, data)
            return data

        data = await in_thread(lambda _: put())
        return StagedPart(
            key=key,
            rows=batch.num_rows,
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
