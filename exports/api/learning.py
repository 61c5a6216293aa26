"""Learns from tokens how people can be reached, for messages."""

import logging
from typing import Final

from exports.errors import ExportError
from exports.messages.people import PeopleStore

_MAX_KNOWN: Final = 10_000
_log = logging.getLogger("exports.api")


class Learning:
    """Stores what a token says of a person, when it says something new.

    Args:
        people: Where it is stored.
    """

    def __init__(self, people: PeopleStore) -> None:
        self._people = people
        self._known: dict[str, tuple[str | None, str | None]] = {}

    async def learn(self, uid: str, *, email: str | None, language: str | None = None) -> None:
        """Store what a token says. The request is answered also if that is not possible."""
        said = (email, language)
        if said == (None, None) or self._known.get(uid) == said:
            return
        try:
            await self._people.learn(uid, email=email, language=language)
        except ExportError as error:
            _log.warning("An e-mail address was not stored: %s", error.code)
            return
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[uid] = said
