"""Many rows from the real database, compared with only draining the same cursors.

`recordsDetail` to csv, on the embedded servers. The reference reads the batches of the same
queries (filter, projection, order, size of batches) with the driver's `find_raw_batches`, in as
many threads as an export has units in parallel, and does nothing with them. The units are taken
from the history of the export that it is compared with.

Both sides read one unit at a time: the embedded database does one thing at a time, sorts all that a
query may return before its first row, and does not answer other requests meanwhile. So the URI
makes the driver wait longer than usual for a server that does not answer.

An export also asks for the newest `_id`, which is the upper limit of what it reads. MongoDB looks
that up in an index; the embedded database sorts the whole collection. So it is measured separately
after each export, and the second figure is without it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import bson
from bson.raw_bson import RawBSONDocument
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.read_concern import ReadConcern
from temporalio.api.enums.v1 import EventType

from benchmarks.bench import USER, Bench, opened
from benchmarks.bulk import REPORT, YEAR, exported
from benchmarks.plan import Plan
from benchmarks.results import Goal, Outcome, Row
from benchmarks.rows import Rows, split
from dev import orders
from exports import names
from exports.connections import mongo_client
from exports.models import AggregateInput, Unit
from exports.source.database import ROWS_PER_BATCH, RowQuery, Source
from exports.temporal.converter import data_converter

_LOADERS: Final = 2
_SIDE_BY_SIDE: Final = 1
_SILENCE_MS: Final = 300_000


async def run(plan: Plan) -> Outcome:
    """Run the benchmark."""
    rows = plan.pick(full=1_000_000, quick=200_000, smoke=60_000)
    row = Row(
        what=f"{rows:,} rows to csv",
        unit="s",
        ours=[],
        reference=[],
        reference_name="draining the cursors",
        goal=Goal(side="at most", bound=1.15),
    )
    newest = Row(what="asking for the newest _id", unit="s", ours=[])
    without = row.model_copy(
        update={"what": f"{row.what}, without that", "ours": [], "reference": [], "goal": None}
    )
    units: list[Unit] = []
    async with opened() as bench:
        await _load(bench, rows)
        patient = _patient(bench)
        with bench.process(
            "worker.py",
            EXPORTS_MONGO_URI=patient,
            EXPORTS_SOURCE_URI=patient,
            EXPORTS_UNITS_SIDE_BY_SIDE=str(_SIDE_BY_SIDE),
        ):
            for _ in range(plan.runs):
                began = time.perf_counter()
                task = await exported(bench, "csv", rows=rows)
                row.ours.append(time.perf_counter() - began)
                units = await _units(bench, task.id)
                queries = await _queries(bench, units)
                row.reference.append(await asyncio.to_thread(_drained, bench, queries, rows))
                newest.ours.append(await _newest(bench))
                without.ours.append(row.ours[-1] - newest.ours[-1])
    without.reference.extend(row.reference)
    return Outcome(
        rows=[row, newest, without],
        notes=[f"The export had {len(units)} units, {_SIDE_BY_SIDE} at a time."],
    )


def _patient(bench: Bench) -> str:
    return f"{bench.settings.mongo_uri.get_secret_value()}/?connectTimeoutMS={_SILENCE_MS}"


async def _newest(bench: Bench) -> float:
    async with mongo_client(SecretStr(_patient(bench))) as client:
        source = Source(client[bench.settings.mongo_database], bench.settings.query_timeout)
        began = time.perf_counter()
        await source.newest_id(orders.COLLECTION)
        return time.perf_counter() - began


async def _load(bench: Bench, rows: int) -> None:
    """Load orders that are spread evenly over the year."""
    sample = b"".join(map(bson.encode, orders.orders()))
    pieces = _pieces(Rows(sample, rows))
    collection = bench.database[orders.COLLECTION]

    async def load() -> None:
        for piece in pieces:
            await collection.insert_many(piece, ordered=False)

    await asyncio.gather(*(load() for _ in range(_LOADERS)))
    await collection.create_index("createdAt")  # at the end, because then loading is faster


def _pieces(rows: Rows) -> Iterator[list[RawBSONDocument]]:
    for batch in rows.all():
        yield [RawBSONDocument(document) for document in split(batch)]


async def _units(bench: Bench, task_id: str) -> list[Unit]:
    """Return the units of an export, as its history shows them."""
    handle = bench.temporal.get_workflow_handle(names.workflow_id(task_id))
    found: list[Unit] = []
    async for event in handle.fetch_history_events():
        scheduled = event.activity_task_scheduled_event_attributes
        if (
            event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
            and scheduled.activity_type.name == names.AGGREGATE
        ):
            [ask] = await data_converter().decode(scheduled.input.payloads, [AggregateInput])
            found.append(ask.unit)
    return found


class _QueryRecorder(Source):
    """Records the queries that a report sends, and answers them with no rows."""

    queries: list[tuple[str, RowQuery]]

    async def raw_batches(self, collection: str, query: RowQuery) -> AsyncGenerator[bytes]:
        self.queries.append((collection, query))
        nothing: tuple[bytes, ...] = ()
        for batch in nothing:
            yield batch


async def _queries(bench: Bench, units: list[Unit]) -> list[tuple[str, RowQuery]]:
    report = bench.reports.named(REPORT)
    params = report.check_params(YEAR)
    async with mongo_client(SecretStr(_patient(bench))) as client:
        database = client[bench.settings.mongo_database]
        source = _QueryRecorder(database, bench.settings.query_timeout)
        source.queries = []
        for unit in units:
            async for _ in report.read(source, unit, params=params, created_by=USER):
                pass
        return source.queries


def _drained(bench: Bench, queries: list[tuple[str, RowQuery]], rows: int) -> float:
    """Return the seconds that it takes to read the answers to all queries."""
    limit = round(bench.settings.query_timeout.total_seconds() * 1000)
    with (
        MongoClient[dict[str, Any]](_patient(bench)) as client,
        ThreadPoolExecutor(_SIDE_BY_SIDE) as pool,
    ):
        database = client[bench.settings.mongo_database]
        database.command("ping")

        def drain(asked: tuple[str, RowQuery]) -> int:
            name, query = asked
            collection = database.get_collection(name, read_concern=ReadConcern("majority"))
            cursor = collection.find_raw_batches(
                query.filter,
                query.projection,
                sort=query.sort,
                limit=query.limit or 0,
                batch_size=ROWS_PER_BATCH,
                allow_disk_use=True,
                max_time_ms=limit,
            )
            return sum(len(batch) for batch in cursor)

        began = time.perf_counter()
        read = sum(pool.map(drain, queries))
        took = time.perf_counter() - began
    if read < rows:  # each row has more than one byte
        raise RuntimeError("The cursors returned too few bytes.")
    return took
