"""Looks at the reports: the file, and each report against the collection that it reads."""

import json
import shlex
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, cast

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ExecutionTimeout

from exports.connections import check_mongo, mongo_client
from exports.doctor.check import Check, Question, Server, failed, ok, warning
from exports.doctor.sampled import compared, declared, projection
from exports.documents import Stored
from exports.errors import ExportError, ReportsFileError
from exports.reports.defined import DefinedReport
from exports.reports.definition import Definition
from exports.reports.file import load_reports
from exports.reports.report import Report
from exports.server_errors.mongo import MONGO_ERRORS, source_error
from exports.settings import Settings
from exports.source.database import CODEC, Source

_SAMPLE: Final = 100
"""Documents of each report that are looked at: half of them the oldest, half the newest."""
_MAX_TIME_MS: Final = 5000
"""How long the database may look for them."""
_SCAN: Final = "COLLSCAN"
_NOBODY: Final = "doctor"
_SNAPSHOTS: Final = (
    'Remove consistency = "snapshot" from the reports file, or read from a replica set of MongoDB '
    "5.0 or newer."
)


class ReportsDoctor:
    """The questions about the reports file, and about the database that the reports read.

    Args:
        settings: Of a worker.
        closing: Closes the connection at the end.
    """

    def __init__(self, settings: Settings, closing: AsyncExitStack) -> None:
        self._settings = settings
        self._closing = closing
        self._reports: list[Report] = []
        self._connected: AsyncDatabase[Stored] | None = None
        # The name of the variable, in which a password may be.
        self._uri = "EXPORTS_SOURCE_URI" if settings.source_uri else "EXPORTS_MONGO_URI"
        self._reach_it = f'Check {self._uri} and that MongoDB runs: mongosh "${self._uri}"'

    def server(self) -> Server:
        """Return the questions."""
        return Server("reports", Question("source", self._source, self._reach_it), self._questions)

    def _questions(self) -> list[Question]:
        questions = [Question(item.type, partial(self._report, item)) for item in self._reports]
        if any(report.consistency == "snapshot" for report in self._reports):
            questions.insert(0, Question("snapshot", self._snapshot, _SNAPSHOTS))
        return questions

    @property
    def _database(self) -> AsyncDatabase[Stored]:
        if self._connected is None:
            raise RuntimeError("asked before it was reached")
        return self._connected

    async def _source(self) -> list[Check]:
        checks: list[Check] = []
        try:
            self._reports = list(load_reports(self._settings.reports_file))
        except ReportsFileError as error:
            mend = f"Correct {self._settings.reports_file}, then: exports types"
            checks += [failed("reports file", line, mend) for line in error.msg.splitlines()]
        else:
            file = self._settings.reports_file
            checks.append(ok("reports file", f"{file} can be used; reports: {len(self._reports)}."))
        try:
            uri, name = self._settings.source
            client = mongo_client(uri)
            self._closing.push_async_callback(client.close)
            await check_mongo(client, uri)
        except ExportError as error:
            return [*checks, failed("source", error.msg, self._reach_it)]
        self._connected = client[name]
        return [*checks, ok("source", f"The database {name!r} answers.")]

    async def _snapshot(self) -> list[Check]:
        await Source(self._database, self._settings.query_timeout).now(snapshot=True)
        return [ok("snapshot", "The source database can show all rows as they were at one moment.")]

    async def _report(self, report: Report) -> list[Check]:
        if not isinstance(report, DefinedReport):
            what = "It is a class of Python: only an export shows whether its data fits."
            return [ok(report.type, what)]
        definition = cast("DefinedReport[Definition, Any]", report).definition
        with _translated(definition.collection):
            kind = await self._kind(definition.collection)
            if kind is None:
                return [
                    failed(
                        f"{report.type}: collection",
                        f"There is no collection {definition.collection!r} in "
                        f"{self._database.name!r}.",
                        f"Correct reports.{report.type}.collection in the reports file, or "
                        "EXPORTS_SOURCE_DATABASE.",
                    )
                ]
            exists = ok(f"{report.type}: collection", f"{definition.collection!r} is a {kind}.")
            plans = await self._plans(definition)
            indexed = kind == "timeseries" or not all(map(scans, plans))
            # To sort by what no index of its own has would read the whole collection.
            in_order = kind == "collection" and not scans(plans[0])
            return [
                exists,
                self._index(report.type, definition, kind=kind, indexed=indexed),
                await self._values(f"{report.type}: values", definition, sort=in_order),
            ]

    async def _kind(self, collection: str) -> str | None:
        found = await self._database.list_collections(
            filter={"name": collection}, nameOnly=True, authorizedCollections=True
        )
        kinds = [str(item["type"]) async for item in found]
        if not kinds:
            # It says if the user may not read it, which a list of what they may read does not.
            await self._database[collection].find_one({}, {"_id": True}, max_time_ms=_MAX_TIME_MS)
        return kinds[0] if kinds else None

    async def _plans(self, definition: Definition) -> list[Stored]:
        """Return how the database would find a month: that of all, and that of an owner."""
        end = datetime.now(UTC)
        period = {definition.time_field: {"$gte": end - timedelta(days=30), "$lt": end}}
        queries = [_fixed(definition) | period]
        if definition.owner_field is not None:
            queries.append({definition.owner_field: _NOBODY, **queries[0]})
        return [
            await self._database.command(
                {
                    "explain": {"find": definition.collection, "filter": query},
                    "verbosity": "queryPlanner",
                    "maxTimeMS": _MAX_TIME_MS,
                },
                read_preference=self._database.read_preference,
            )
            for query in queries
        ]

    def _index(self, name: str, definition: Definition, *, kind: str, indexed: bool) -> Check:
        name, path = f"{name}: index", definition.time_field
        if kind == "timeseries":
            return ok(name, "A time series is ordered by its time.")
        if indexed:
            return ok(name, f"An index is used for {path!r}.")
        keys = dict.fromkeys(filter(None, (definition.owner_field, path)), 1)
        collection = f"db.getSiblingDB({json.dumps(self._database.name)}).getCollection"
        script = (
            f"{collection}({json.dumps(definition.collection)}).createIndex({json.dumps(keys)})"
        )
        return warning(
            name,
            f"No index is used for {path!r}: every export reads all of {definition.collection!r}.",
            f'With a user in {self._uri} who may create indexes: mongosh "${self._uri}" --eval '
            f"{shlex.quote(script)}",
        )

    async def _values(self, name: str, definition: Definition, *, sort: bool) -> Check:
        try:
            documents = await self._sampled(definition, sort=sort)
        except ExecutionTimeout:
            what = f"No documents were found to compare with within {_MAX_TIME_MS // 1000} s."
            return warning(name, what)
        return compared(name, documents, declared(definition), definition)

    async def _sampled(self, definition: Definition, *, sort: bool) -> list[Stored]:
        found = (
            self._database.get_collection(definition.collection, codec_options=CODEC)
            .find(
                _fixed(definition),
                projection(declared(definition), definition),
                max_time_ms=_MAX_TIME_MS,
            )
            .limit(_SAMPLE // 2 if sort else _SAMPLE)
        )
        if not sort:
            return await found.to_list()
        oldest = await found.clone().sort(definition.time_field, 1).to_list()
        newest = await found.sort(definition.time_field, -1).to_list()
        # The newest of a few documents are the oldest too.
        seen = [document["_id"] for document in oldest]
        return oldest + [document for document in newest if document["_id"] not in seen]


def scans(plan: object) -> bool:
    """Return whether a plan of `explain` reads a whole collection.

    The plans of views, of sharded collections and of both engines have different forms, but all
    have a stage `COLLSCAN` somewhere.

    Args:
        plan: The answer, or a part of it.
    """
    match plan:
        case dict():
            parts = cast("Stored", plan)
            return parts.get("stage") == _SCAN or any(
                scans(part) for key, part in parts.items() if key != "rejectedPlans"
            )
        case list():
            return any(map(scans, cast("list[object]", plan)))
        case _:
            return False


def _fixed(definition: Definition) -> Stored:
    """Return the condition of the report's `filter`, which an index may be made for."""
    return {path: {"$eq": value} for path, value in definition.filter.items()}


@contextmanager
def _translated(collection: str) -> Generator[None]:
    try:
        yield
    except MONGO_ERRORS as error:
        raise source_error(error, collection) from None
