"""Stages the rows of a unit as parts in the bucket: the only code that reads the source.

The claim of a small export calls it, too.
"""

import asyncio
import hashlib
import logging
from contextlib import aclosing
from typing import Final, Self

import pyarrow as pa
from temporalio import activity

from activities.attempts import Attempt, Attempts
from activities.boundary import boundary, in_thread
from exports import names
from exports.errors import ReportChangedError, TypeUnknownError
from exports.models import (
    AggregateInput,
    ExportPlan,
    PartList,
    Stage,
    StagedPart,
    StagedUnit,
    Unit,
)
from exports.reports.report import Report, ReportCatalog
from exports.source.database import Source
from exports.staging.cache import PartCache
from exports.staging.parts import encode_part
from exports.storage.bucket import ObjectStore
from exports.tables.warnings import WarningCounts
from exports.temporal.payload_size import check_fits, size_of

PART_BYTES: Final = 4 << 20
"""Bytes of a part in memory, about. An attempt writes one and fills another at the same time."""

_log = logging.getLogger(__name__)


class AggregateActivities:
    """Stages the rows of one unit.

    Args:
        attempts: Makes the attempts.
        reports: The configured reports.
        source: The database that the reports read.
        store: The bucket.
        cache: Keeps small parts for the upload, in case it runs on this worker.
    """

    def __init__(
        self,
        *,
        attempts: Attempts,
        reports: ReportCatalog,
        source: Source,
        store: ObjectStore,
        cache: PartCache,
    ) -> None:
        self._attempts = attempts
        self._reports = reports
        self._source = source
        self._store = store
        self._cache = cache

    @activity.defn(name=names.AGGREGATE)
    async def aggregate(self, ask: AggregateInput) -> StagedUnit:
        """Read one unit and stage its rows under keys of this attempt alone."""
        async with boundary():  # leaving a unit to another worker is no failed attempt
            report = self._report_of(ask.plan)
        async with self._attempts.at(
            Stage.AGGREGATE,
            ask.task,
            retries_before=ask.retries_before,
            rows=ask.rows_before,
            is_heavy=ask.plan.bulk,
        ) as attempt:
            warn = WarningCounts()
            rest: list[Unit] = []
            async with self._source.at(
                ask.unit.moment, snapshot=report.consistency == "snapshot"
            ) as source:
                reading = report.read(
                    source, ask.unit, params=ask.plan.params, created_by=ask.plan.created_by
                )
                async with (
                    aclosing(reading),
                    _Staging(self._store, self._cache, ask, attempt) as staging_area,
                ):
                    async for rows in reading:
                        attempt.rows += rows.batch.num_rows
                        ask.plan.check_rows(attempt.rows)
                        await staging_area.add(rows.batch)
                        warn.add_all(rows.warnings)
                        rest += rows.rest
                    parts = await staging_area.finished()
                moment = source.moment
                rest = [unit.model_copy(update={"moment": moment}) for unit in rest]
            staged = StagedUnit(
                unit=ask.unit.key,
                parts=parts,
                rows=sum(part.rows for part in parts),
                rest=rest,
                warnings=warn.warnings,
                retries=attempt.retries,
                moment=moment if ask.plan.moment_open else None,
            )
            check_fits(staged, "What is to be said of the unit")
            return staged

    def _report_of(self, plan: ExportPlan) -> Report:
        """Return the report by which an export was planned.

        Raises:
            ReportChangedError: This worker has another report of that name, or none.
        """
        planned_by = plan.definition
        try:
            report = self._reports.named(plan.type)
        except TypeUnknownError:
            if planned_by is None:
                raise
        else:
            if planned_by in (None, report.fingerprint):
                return report
        _log.warning(
            "%s is not the report that the export was planned by; left to others", plan.type
        )
        raise ReportChangedError(
            f"The definition of {plan.type} was changed while the export ran; ask for it again."
        )


class _Staging:
    """Writes a part while the rows of the next one are read.

    A part holds batches of one schema. If the block is left early, the write that has begun is
    finished first.
    """

    def __init__(
        self, store: ObjectStore, cache: PartCache, ask: AggregateInput, attempt: Attempt
    ) -> None:
        self._store = store
        self._cache = cache
        self._ask = ask
        self._attempt = attempt
        self._batches: list[pa.RecordBatch] = []
        self._bytes = 0
        self._index = 0
        self._under_way: asyncio.Task[StagedPart] | None = None
        self._done: list[StagedPart] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._under_way is not None:
            self._under_way.cancel()
            await asyncio.gather(self._under_way, return_exceptions=True)

    async def add(self, batch: pa.RecordBatch) -> None:
        """Take rows. If they fill a part, wait until the one before has been written."""
        if self._batches and self._batches[0].schema != batch.schema:
            await self._start_part()
        self._batches.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= PART_BYTES:
            await self._start_part()

    async def finished(self) -> list[StagedPart]:
        """Return all parts, in row order, once all are written; or a list of them as one part."""
        if self._batches:
            await self._start_part()
        await self._end_part()
        listed, most = PartList(parts=self._done), self._ask.most_listed
        if len(self._done) > 1 and most is not None and size_of(listed) > most:
            return [await self._stored(listed)]
        return self._done

    async def _stored(self, listed: PartList) -> StagedPart:
        """Store a list of parts, and return it as one."""
        ref = self._ask.task
        key = names.part_list_key(
            ref.task_id, ref.run_id, unit=self._ask.unit.key, attempt=self._attempt.key
        )
        data = listed.model_dump_json().encode()
        await in_thread(lambda _: self._put(key, data))
        return StagedPart(
            key=key,
            rows=sum(part.rows for part in listed.parts),
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            schema_id="",
            lists=len(listed.parts),
        )

    async def _start_part(self) -> None:
        await self._end_part()
        batches, self._batches, self._bytes = self._batches, [], 0
        key = names.staged_part_key(
            self._ask.task.task_id,
            self._ask.task.run_id,
            unit=self._ask.unit.key,
            attempt=self._attempt.key,
            index=self._index,
        )
        self._index += 1
        self._under_way = asyncio.create_task(in_thread(lambda _: self._write(key, batches)))

    async def _end_part(self) -> None:
        if self._under_way is not None:
            self._done.append(await self._under_way)
            self._under_way = None

    def _write(self, key: str, batches: list[pa.RecordBatch]) -> StagedPart:
        part = encode_part(batches[0].schema, batches)
        self._put(key, part.data)
        return StagedPart(
            key=key,
            rows=sum(batch.num_rows for batch in batches),
            bytes=len(part.data),
            sha256=hashlib.sha256(part.data).hexdigest(),
            schema_id=part.schema_id,
        )

    def _put(self, key: str, data: bytes) -> None:
        self._store.put(key, data)
        self._cache.put(key, data)
