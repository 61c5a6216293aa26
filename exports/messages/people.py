"""How people are told by default: the collection `ExportPeople`."""

from collections.abc import Sequence

from pydantic import Field
from pymongo.asynchronous.database import AsyncDatabase

from exports import names
from exports.documents import Stored, deadline, majority_collection, read_one
from exports.models import WireModel


class Person(WireModel):
    """What is known of a person.

    Attributes:
        uid: The person.
        notify: The channels by which they are told, unless a request says otherwise.
        email: The address in their token.
        language: The language of their messages.
    """

    uid: str
    notify: list[str] = Field(default_factory=list[str])
    email: str | None = None
    language: str | None = None


class PeopleStore:
    """Stores how people are told.

    Args:
        database: The database of `ExportPeople`.
    """

    def __init__(self, database: AsyncDatabase[Stored]) -> None:
        self._people = majority_collection(database, names.PEOPLE_COLLECTION)

    async def find(self, uid: str) -> Person:
        """Return what is known of a person: nothing, if they have set nothing."""
        document = await read_one(self._people, {"_id": {"$eq": uid}})
        return Person.model_validate({**(document or {}), "uid": uid}, by_alias=True)

    async def default_notify(self, uid: str) -> list[str]:
        """Return the channels by which a person is told, unless a request says otherwise."""
        return (await self.find(uid)).notify

    async def set_notify(self, uid: str, channels: Sequence[str]) -> None:
        """Store by which channels a person is told by default; none to tell them nothing."""
        await self._set(uid, {"notify": list(channels)})

    async def learn(self, uid: str, *, email: str | None, language: str | None = None) -> None:
        """Store where a person gets mail, and in which language; None changes nothing."""
        known = {"email": email, "language": language}
        await self._set(uid, {key: value for key, value in known.items() if value is not None})

    async def _set(self, uid: str, fields: Stored) -> None:
        if not fields:
            return
        async with deadline(self._people):
            await self._people.update_one({"_id": uid}, {"$set": fields}, upsert=True)
