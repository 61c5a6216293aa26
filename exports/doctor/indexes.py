"""Compares the indexes of the service's own collections with those that it makes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo import IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from exports import names, tokens
from exports.documents import Indexes, Stored, majority_collection
from exports.messages import deliveries
from exports.messages.webhook import indexes as webhooks
from exports.messages.wechat import grants
from exports.recurring import store as recurring
from exports.tasks import indexes as tasks

_INDEXES: Final[Mapping[str, Sequence[IndexModel]]] = {
    names.TASKS_COLLECTION: tasks.INDEXES,
    names.DELIVERIES_COLLECTION: deliveries.INDEXES,
    names.TOKENS_COLLECTION: tokens.INDEXES,
    names.WEBHOOKS_COLLECTION: webhooks.INDEXES,
    names.RECURRING_COLLECTION: recurring.INDEXES,
    names.WECHAT_GRANTS_COLLECTION: grants.INDEXES,
}
_MADE_BY_WORKERS: Final = (names.TASKS_COLLECTION, names.DELIVERIES_COLLECTION)
"""Those of the others are made when the first document is."""
_MOST_SAID: Final = 3
"""Indexes of a collection that are named."""
_TELLING: Final = ("unique", "partialFilterExpression", "expireAfterSeconds")


async def wrong_indexes(database: AsyncDatabase[Stored]) -> list[str]:
    """Return what is wrong with the indexes: `ExportTasks lacks updatedAt_-1`.

    Args:
        database: That of the tasks.
    """
    return [
        f"{name} {problem}"
        for name, made in (await _made(database)).items()
        for problem in _problems(made, _INDEXES[name])
    ]


async def make_indexes(database: AsyncDatabase[Stored]) -> None:
    """Make those that are missing.

    Args:
        database: That of the tasks.

    Raises:
        ExportError: The database refused to: an index with the same name is another one.
    """
    for name in await _made(database):
        await Indexes(majority_collection(database, name), _INDEXES[name]).ensure()


async def _made(database: AsyncDatabase[Stored]) -> dict[str, list[Stored]]:
    """Return the indexes of the collections that are in use: with one besides that of `_id`."""
    found = {
        name: [dict(index) async for index in await database[name].list_indexes()]
        for name in _INDEXES
    }
    return {name: made for name, made in found.items() if len(made) > 1 or name in _MADE_BY_WORKERS}


def _problems(made: Sequence[Stored], meant: Sequence[IndexModel]) -> list[str]:
    by_name = {item["name"]: item for item in made}
    indexes: list[Mapping[str, Any]] = [model.document for model in meant]
    lacks = [index["name"] for index in indexes if index["name"] not in by_name]
    others = [
        index["name"]
        for index in indexes
        if index["name"] in by_name
        and any(by_name[index["name"]].get(option) != index.get(option) for option in _TELLING)
    ]
    problems = {"lacks": lacks, "has others, to be dropped first, in place of": others}
    return [f"{what} {_shortened(found)}" for what, found in problems.items() if found]


def _shortened(found: Sequence[str]) -> str:
    more = f" and {len(found) - _MOST_SAID} more" if len(found) > _MOST_SAID else ""
    return f"{', '.join(found[:_MOST_SAID])}{more}"
