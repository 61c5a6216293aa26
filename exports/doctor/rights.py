"""What the user of the tasks' database needs, and whether it has it, by trying."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from exports.documents import Stored
from exports.names import (
    DELIVERIES_COLLECTION,
    PEOPLE_COLLECTION,
    RECURRING_COLLECTION,
    TASKS_COLLECTION,
    TOKENS_COLLECTION,
    WATCH_COLLECTION,
    WEBHOOKS_COLLECTION,
    WECHAT_GRANTS_COLLECTION,
)

_STORED: Final = ("find", "insert", "update")
_INDEXED: Final = (*_STORED, "createIndex", "listIndexes")
ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    TASKS_COLLECTION: (*_INDEXED, "changeStream"),
    TOKENS_COLLECTION: _INDEXED,
    PEOPLE_COLLECTION: _STORED,
    WECHAT_GRANTS_COLLECTION: _INDEXED,
    DELIVERIES_COLLECTION: _INDEXED,
    WEBHOOKS_COLLECTION: _INDEXED,
    RECURRING_COLLECTION: _INDEXED,
    WATCH_COLLECTION: _STORED,
}
"""All that this service does with each collection; it never deletes anything."""
UNAUTHORIZED: Final = 13
"""MongoDB's code of an error for somebody who may not do something."""
NOTHING: Final[Stored] = {"_id": {"$in": []}}
"""The condition that no document meets."""


async def missing_rights(database: AsyncDatabase[Stored]) -> dict[str, list[str]]:
    """Return what the user may not do, by collection. Nothing is changed.

    Each right is tried: MongoDB looks at the rights before it looks at anything else.

    Args:
        database: That of the tasks.
    """
    missing: dict[str, list[str]] = {}
    # One after the other: a server lets some of these wait for each other.
    for name, actions in ACTIONS.items():
        for action in actions:
            if await _is_refused(_TRIALS[action], database[name]):
                missing.setdefault(name, []).append(action)
    return missing


Trial = Callable[[AsyncCollection[Stored]], Awaitable[object]]


async def _is_refused(trial: Trial, documents: AsyncCollection[Stored]) -> bool:
    try:
        await trial(documents)
    except OperationFailure as error:
        return error.code == UNAUTHORIZED
    return False


async def _find(documents: AsyncCollection[Stored]) -> None:
    await documents.find_one(NOTHING, {"_id": True})


async def _insert(documents: AsyncCollection[Stored]) -> None:
    async with documents.database.client.start_session() as session:
        await session.start_transaction()
        try:
            await documents.insert_one({}, session=session)
        finally:
            await session.abort_transaction()


async def _update(documents: AsyncCollection[Stored]) -> None:
    await documents.update_many(NOTHING, {"$set": {"tried": True}})


async def _create_index(documents: AsyncCollection[Stored]) -> None:
    # No server makes an index without a key.
    index: Stored = {"key": {}, "name": "tried"}
    await documents.database.command({"createIndexes": documents.name, "indexes": [index]})


async def _list_indexes(documents: AsyncCollection[Stored]) -> None:
    await (await documents.list_indexes()).to_list()


async def _watch(documents: AsyncCollection[Stored]) -> None:
    async with await documents.watch(max_await_time_ms=1):
        pass


_TRIALS: Final[Mapping[str, Trial]] = {
    "find": _find,
    "insert": _insert,
    "update": _update,
    "createIndex": _create_index,
    "listIndexes": _list_indexes,
    "changeStream": _watch,
}
