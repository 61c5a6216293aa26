"""How people can be reached: from a directory that the operator names, and from their tokens."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast

from pymongo.asynchronous.database import AsyncDatabase

from exports.documents import Stored, read
from exports.mail_addresses import is_mail_address
from exports.message_settings import MessageSettings
from exports.messages.people import PeopleStore
from exports.messages.wording import Language
from exports.tasks.task import stored_ids

_NOT_AN_ARRAY: Final = {"$not": {"$type": "array"}}
_MAX_OPENID: Final = 128  # characters; WeChat's have 28


class Reach(NamedTuple):
    """How a person can be reached.

    Attributes:
        email: The e-mail address; None if there is none.
        language: The language of messages.
        openid: The openid at WeChat; None if there is none.
    """

    email: str | None
    language: Language
    openid: str | None


class Directory:
    """Finds out how people can be reached.

    What the directory says of a person counts, an empty value too. A field that it does not have,
    or a person, is taken from the person's tokens; the openid is the name of the person then.

    Args:
        database: The tasks' database.
        settings: The name of the directory and of its fields, and the default language.
    """

    def __init__(self, database: AsyncDatabase[Stored], settings: MessageSettings) -> None:
        named = settings.directory_collection
        self._entries = None if named is None else database[named]
        self._people = PeopleStore(database)
        self._settings = settings
        self._fields = {
            settings.directory_email_field: True,
            settings.directory_language_field: True,
            settings.directory_openid_field: True,
        }

    async def find(self, uid: str) -> Reach:
        """Return how a person can be reached.

        Raises:
            ExportError: The database did not answer.
        """
        settings = self._settings
        entry = await self._entry(uid)
        learned = await self._people.find(uid)
        email = _value(entry, settings.directory_email_field, learned.email)
        language = _value(entry, settings.directory_language_field, learned.language)
        openid = _value(entry, settings.directory_openid_field, uid)
        return Reach(
            email=email if isinstance(email, str) and is_mail_address(email) else None,
            language=Language.of(language) or Language(settings.message_language),
            openid=openid if isinstance(openid, str) and _is_openid(openid) else None,
        )

    async def _entry(self, uid: str) -> Mapping[str, Any]:
        if self._entries is None:
            return {}
        # Of two entries, it is not known which one is the person: neither counts.
        query = {self._settings.directory_uid_field: {"$in": stored_ids(uid), **_NOT_AN_ARRAY}}
        found = await read(self._entries, query, self._fields, limit=2)
        return found[0] if len(found) == 1 else {}


def _value(entry: Mapping[str, Any], field: str, otherwise: str | None) -> object:
    """Return a field of an entry; its name may be a path with dots."""
    path = field.split(".")
    for name in path[:-1]:
        inner: object = entry.get(name)
        entry = cast("Mapping[str, Any]", inner) if isinstance(inner, Mapping) else {}
    return entry.get(path[-1], otherwise)


def _is_openid(text: str) -> bool:
    return text.isascii() and text.isprintable() and 0 < len(text) <= _MAX_OPENID
