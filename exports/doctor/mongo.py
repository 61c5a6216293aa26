"""Looks at the MongoDB that holds the tasks."""

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from exports.connections import check_mongo, mongo_client
from exports.doctor.check import Check, Question, Server, failed, ok, same_clock, warning
from exports.doctor.indexes import make_indexes, wrong_indexes
from exports.doctor.rights import NOTHING, UNAUTHORIZED, missing_rights
from exports.documents import Stored, deadline, majority_collection, server_time
from exports.errors import DatabaseAccessError
from exports.messages.channels import open_channels
from exports.names import TASKS_COLLECTION
from exports.reports.report import ReportCatalog
from exports.settings import Settings

if TYPE_CHECKING:
    from pymongo import AsyncMongoClient


_SLOW: Final = 2.0
"""Seconds for one write. An export makes three, and one more every two seconds."""
_MONGOSH: Final = 'mongosh "$EXPORTS_MONGO_URI" --eval'
"""Without an address, it would ask this machine."""


class MongoDoctor:
    """The questions about the database of the tasks.

    Args:
        settings: Of a worker.
        closing: Closes the connection at the end.
    """

    def __init__(self, settings: Settings, closing: AsyncExitStack) -> None:
        self._settings = settings
        self._closing = closing
        self._connected: AsyncMongoClient[Stored] | None = None

    def server(self) -> Server:
        """Return the questions."""
        mend = 'Check EXPORTS_MONGO_URI and that MongoDB runs: mongosh "$EXPORTS_MONGO_URI"'
        return Server("mongodb", Question("reachable", self._reachable, mend), self._questions)

    def _questions(self) -> list[Question]:
        return [
            Question("version", self._version),
            Question("rights", self._rights),
            Question("indexes", self._indexes, fix=self._make_indexes),
            Question("majority", self._majority, f"{_MONGOSH} 'rs.status()'"),
            Question("channels", self._channels, "Correct the settings of this channel."),
            Question("clock", self._clock, "Set the clock of this machine by NTP."),
        ]

    @property
    def _database(self) -> AsyncDatabase[Stored]:
        if self._connected is None:
            raise RuntimeError("asked before it was reached")
        return self._connected[self._settings.mongo_database]

    async def _reachable(self) -> list[Check]:
        uri = self._settings.mongo_uri
        client = mongo_client(uri)
        self._closing.push_async_callback(client.close)
        await check_mongo(client, uri)
        self._connected = client
        reached = ok("reachable", "MongoDB answers, and takes the credentials.")
        return [reached, replica_set(await client.admin.command("hello"))]

    async def _version(self) -> list[Check]:
        found = await self._database.client.admin.command("buildInfo")
        return [ok("version", f"The server is {found['version']}.")]

    async def _rights(self) -> list[Check]:
        missing = await missing_rights(self._database)
        if not missing:
            return [ok("rights", "The user may do all that exports need.")]
        said = "; ".join(f"{name}: {', '.join(actions)}" for name, actions in missing.items())
        privileges = ", ".join(
            f'{{resource: {{db: "{self._database.name}", collection: "{name}"}}, '
            f"actions: {actions}}}".replace("'", '"')
            for name, actions in missing.items()
        )
        mend = (
            f'With an administrator in EXPORTS_MONGO_URI: {_MONGOSH} \'db.getSiblingDB("admin")'
            f'.grantPrivilegesToRole("exportsTasks", [{privileges}])\''
        )
        if all(actions == ["listIndexes"] for actions in missing.values()):
            return [warning("rights", f"The indexes can't be listed here ({said}).", mend)]
        return [failed("rights", f"The user may not: {said}.", mend)]

    async def _indexes(self) -> list[Check]:
        try:
            wrong = await wrong_indexes(self._database)
        except OperationFailure as error:
            if error.code != UNAUTHORIZED:
                raise
            return []  # which is a missing right
        if not wrong:
            return [ok("indexes", "All are there.")]
        return [failed("indexes", f"{'; '.join(wrong)}.", "exports doctor --fix")]

    async def _make_indexes(self) -> None:
        await make_indexes(self._database)

    async def _majority(self) -> list[Check]:
        tasks = majority_collection(self._database, TASKS_COLLECTION)
        began = time.monotonic()
        try:
            async with deadline(tasks):
                # A write that changes nothing waits until the majority has all earlier ones:
                # https://www.mongodb.com/docs/manual/reference/write-concern/
                await tasks.update_many(NOTHING, {"$set": {"tried": True}})
        except DatabaseAccessError:
            return []  # which is a missing right
        took = time.monotonic() - began
        said = f"The majority confirmed a write after {took * 1000:.0f} ms."
        if took > _SLOW:
            mend = f"{_MONGOSH} 'rs.printSecondaryReplicationInfo()'"
            return [warning("majority", said, mend)]
        return [ok("majority", said)]

    async def _channels(self) -> list[Check]:
        opened = open_channels(self._settings, self._database, ReportCatalog([]))
        if not opened:
            return [ok("channels", "None is configured: nobody is told of exports.")]
        return [ok("channels", f"People are told of exports by {', '.join(opened)}.")]

    async def _clock(self) -> list[Check]:
        return [same_clock(await server_time(self._database), whose="the database's")]


def replica_set(hello: Mapping[str, Any]) -> Check:
    """Return what the answer to `hello` says about the replica set.

    Args:
        hello: The answer: https://www.mongodb.com/docs/manual/reference/command/hello/
    """
    name: object = hello.get("setName")
    if hello.get("msg") == "isdbgrid":
        return ok("replica set", "It is a sharded cluster.")
    if name is None:
        what = "It is none: a write can be lost, and what other systems insert waits for a sweep."
        return warning(
            "replica set", what, f"mongod --replSet rs0, then: {_MONGOSH} 'rs.initiate()'"
        )
    if not hello.get("isWritablePrimary"):
        what = f"This member of {name!r} is not the primary, and takes no writes."
        return failed(
            "replica set", what, "Name the whole set in EXPORTS_MONGO_URI: …/?replicaSet=…"
        )
    return ok("replica set", f"It is {name!r}; members: {len(hello.get('hosts', []))}.")
