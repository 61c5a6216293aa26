"""Tokens of the HTTP API that this service makes itself, in the collection `ExportTokens`.

Only a hash of each is stored. A token has 256 random bits, so a plain SHA-256 is enough: there is
nothing to guess. A session of a browser is a token as well, which lives no longer than the token
that it was made from.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from pymongo import ASCENDING, IndexModel
from pymongo.asynchronous.database import AsyncDatabase

from exports import names
from exports.clock import epoch_ms, from_epoch_ms, now_ms
from exports.documents import Indexes, Sort, Stored, deadline, majority_collection, read, read_one
from exports.errors import RequestError
from exports.mail_addresses import is_mail_address
from exports.models import WireModel

CACHED_FOR: Final = 10.0
"""Seconds after which a token that was revoked is refused by every process."""
SESSION_AGE: Final = timedelta(hours=12)
"""How long a session lasts, if its token does not end earlier."""
LONGEST: Final = timedelta(days=3650)
"""The longest time for which a token can be valid, if it is limited."""

_TOKEN: Final = re.compile(r"exp_(?P<id>[0-9a-f]{16})_[A-Za-z0-9_-]{43}")
_MAX_CACHED: Final = 10_000
_EXPIRES: Final = "expiresAt"
_OLDEST: Final[Sort] = [("createdAt", ASCENDING)]
INDEXES: Final = [
    IndexModel([(_EXPIRES, ASCENDING)], expireAfterSeconds=0),
    IndexModel([("session", ASCENDING), *_OLDEST]),
]


class Token(WireModel):
    """What is known of a token; not the token itself.

    Attributes:
        id: Its public part, which `exports token revoke` takes.
        uid: Who asks with it.
        operator: Whether they are an operator.
        created_at: When it was made (epoch milliseconds).
        expires_at: When it ends (epoch milliseconds); None if it has to be revoked.
        session: Whether it is the session of a browser.
        parent: Of a session: the id of the token that it was made from, if it was one of ours.
        email: Where messages to this person go; None if it does not say.
    """

    id: str
    uid: str
    operator: bool
    created_at: int
    expires_at: int | None
    session: bool = False
    parent: str | None = None
    email: str | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Read a stored token. Its times are dates, because an index removes it when it ends."""
        expires = document.get(_EXPIRES)
        return cls(
            id=document["_id"],
            uid=document["uid"],
            operator=document["operator"],
            created_at=epoch_ms(document["createdAt"]),
            expires_at=None if expires is None else epoch_ms(expires),
            session=document["session"],
            parent=document["parent"],
            email=document.get("email"),
        )


class TokenStore:
    """Makes, finds and revokes tokens.

    Args:
        database: The database of `ExportTokens`.

    Attributes:
        indexes: Those of the collection. One removes tokens that have ended.
    """

    def __init__(self, database: AsyncDatabase[Stored]) -> None:
        self._tokens = majority_collection(
            database,
            names.TOKENS_COLLECTION,
            codec_options=database.codec_options.with_options(tz_aware=True),
        )
        self.indexes = Indexes(self._tokens, INDEXES)
        self._cache: dict[bytes, tuple[Token, float]] = {}

    async def create(
        self,
        uid: str,
        *,
        operator: bool = False,
        expires_in: timedelta | None = None,
        email: str | None = None,
    ) -> tuple[str, Token]:
        """Make a token.

        Args:
            uid: Who asks with it.
            operator: Whether they are an operator, who sees the exports of everybody.
            expires_in: How long it is valid; None until it is revoked.
            email: Where messages to this person go, from the first request with it on.

        Returns:
            The token, which is not stored and can't be shown again, and what is known of it.

        Raises:
            RequestError: `uid` is not the name of a person, `email` is not an e-mail address, or
                the time is not from one second to ten years.
        """
        if email is not None and not is_mail_address(email):
            raise RequestError("That is not an e-mail address; one looks like a@example.com.")
        if expires_in is not None and not timedelta(seconds=1) <= expires_in <= LONGEST:
            raise RequestError(f"A token is valid for one second to {LONGEST.days} days.")
        ends = None if expires_in is None else datetime.now(UTC) + expires_in
        return await self._insert(
            uid, operator=operator, ends=ends, session=False, parent=None, email=email
        )

    async def open_session(
        self, uid: str, *, operator: bool, ends: int | None, parent: str | None
    ) -> tuple[str, Token]:
        """Make a session.

        Args:
            uid: Who asks with it.
            operator: Whether they are an operator.
            ends: When the token ends that it is made from (epoch milliseconds).
            parent: The id of that token, if it is one of ours.

        Returns:
            As `create`.
        """
        latest = datetime.now(UTC) + SESSION_AGE
        ending = latest if ends is None else min(latest, from_epoch_ms(ends))
        return await self._insert(uid, operator=operator, ends=ending, session=True, parent=parent)

    async def _insert(
        self,
        uid: str,
        *,
        operator: bool,
        ends: datetime | None,
        session: bool,
        parent: str | None,
        email: str | None = None,
    ) -> tuple[str, Token]:
        public = secrets.token_hex(8)
        text = f"exp_{public}_{secrets.token_urlsafe(32)}"
        document: Stored = {
            "_id": public,
            "hash": _hash(text),
            "uid": names.check_uid(uid),
            "operator": operator,
            "createdAt": datetime.now(UTC),
            "session": session,
            "parent": parent,
        }
        if ends is not None:
            document[_EXPIRES] = ends
        if email is not None:
            document["email"] = email
        async with deadline(self._tokens):
            await self._tokens.insert_one(document)
        return text, Token.from_document(document)

    async def list(self) -> list[Token]:
        """Return all tokens but sessions, oldest first, without those that have ended."""
        found = await read(self._tokens, {"session": False}, sort=_OLDEST)
        return [token for token in map(Token.from_document, found) if not _ended(token)]

    async def revoke(self, token_id: str) -> None:
        """End a token, and every session that was made from it.

        Another process may take it for `CACHED_FOR` seconds more. To revoke it again does nothing.

        Raises:
            RequestError: This can't be the id of a token.
        """
        if not re.fullmatch(r"[0-9a-f]{16}", token_id):
            raise RequestError("The id of a token has 16 characters: see `exports token list`.")
        async with deadline(self._tokens):
            # The index removes them: this service needs no right to remove anything.
            await self._tokens.update_many(
                {"$or": [{"_id": token_id}, {"parent": token_id}]},
                {"$min": {_EXPIRES: datetime.now(UTC)}},
            )
        self._cache.clear()

    async def valid(self, token_ids: set[str]) -> set[str]:
        """Return which of these tokens, by their ids, have neither ended nor been revoked."""
        found = await read(self._tokens, {"_id": {"$in": [*token_ids]}})
        tokens = [token for token in map(Token.from_document, found) if not _ended(token)]
        parents = {token.parent for token in tokens if token.parent is not None}
        there = await self.valid(parents) if parents else parents
        return {token.id for token in tokens if token.parent is None or token.parent in there}

    async def find(self, text: str) -> Token | None:
        """Return what is known of a token that somebody sent; None if it is not valid."""
        found = _TOKEN.fullmatch(text)
        if found is None:
            return None
        key, now = hashlib.sha256(text.encode()).digest(), time.monotonic()
        token, until = self._cache.get(key, (None, now))
        if token is None or until <= now:
            token = await self._read(found["id"], text)
            if token is None:
                self._cache.pop(key, None)
                return None
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            self._cache[key] = (token, now + CACHED_FOR)
        return None if _ended(token) else token

    async def _read(self, token_id: str, text: str) -> Token | None:
        document = await read_one(self._tokens, {"_id": token_id})
        if document is None or not hmac.compare_digest(document["hash"], _hash(text)):
            return None
        token = Token.from_document(document)
        if token.parent is None or await read_one(
            self._tokens,
            {"_id": token.parent, "$nor": [{_EXPIRES: {"$lte": datetime.now(UTC)}}]},
        ):
            return token
        return None  # a session that was opened while its token was revoked


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _ended(token: Token) -> bool:
    return token.expires_at is not None and token.expires_at <= now_ms()
