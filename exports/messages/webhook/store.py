"""The webhooks of people, in the collection `ExportWebhooks`.

A person has a number of slots, each a text that only one document can hold, by an index: so that
of many who add at once, no more succeed than there are slots. A webhook that was removed has no
slot, no address and no secret; an index removes the rest of it, so that this service needs no right
to remove anything.
"""

import re
import secrets as random
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from pymongo.asynchronous.database import AsyncDatabase

from exports import names
from exports.clock import as_seconds, millis, now_ms
from exports.documents import (
    ANY_TEXT,
    ConflictError,
    Indexes,
    Stored,
    deadline,
    majority_collection,
    read,
    read_one,
)
from exports.encryption.sealed import Safe
from exports.errors import QuotaError, RateError, SettingsError, TaskNotFoundError
from exports.messages.message import Event, Message, Subject
from exports.messages.notices import notice
from exports.messages.webhook.indexes import ADDRESS, INDEXES, REMOVED, SLOT
from exports.messages.webhook.model import SwitchedOff, Webhook
from exports.messages.webhook.signature import Signing, new_secret
from exports.messages.webhook.stored_secrets import first, opened, rotated
from exports.settings import Settings

MAX_WEBHOOKS: Final = 10
"""How many webhooks one person may have."""
MAX_TESTS: Final = 5
"""How often a webhook can be tested within `TESTS_WITHIN`."""
TESTS_WITHIN: Final = timedelta(minutes=1)

_ATTEMPTS: Final = 50
"""How often a call tries again after others got what it wanted."""
_ID: Final = re.compile(r"wh_[0-9a-f]{32}")
_OFF: Final = "switchedOff"
_SINCE: Final = "failingSince"
_FAILED_AT: Final = "lastFailedAt"
_SECRETS: Final = "secrets"
_ROTATIONS: Final = "rotations"
_TESTS: Final = "testedAt"
# A webhook has a slot until it is removed.
_IS_THERE: Final = {SLOT: ANY_TEXT}


class WebhookStore:
    """Keeps webhooks. Somebody else's does not exist.

    Args:
        database: The database of `ExportWebhooks`.
        safe: Encrypts their secrets.

    Attributes:
        indexes: Those of the collection.
    """

    def __init__(self, database: AsyncDatabase[Stored], safe: Safe) -> None:
        self._webhooks = majority_collection(database, names.WEBHOOKS_COLLECTION)
        self.indexes = Indexes(self._webhooks, INDEXES)
        self._safe = safe

    @classmethod
    def of_settings(cls, database: AsyncDatabase[Stored], settings: Settings) -> Self:
        """Return the store with the keys of the settings."""
        own = settings.webhook_encryption_key is not None
        setting = "EXPORTS_WEBHOOK_ENCRYPTION_KEY" if own else "EXPORTS_ENCRYPTION_KEY"
        return cls(database, Safe(settings.webhook_keys, setting=setting))

    async def add(self, uid: str, url: str) -> tuple[Webhook, bytes | None]:
        """Add a webhook.

        Returns:
            The webhook and its secret; without a secret if this person has this address already.

        Raises:
            SettingsError: There is no key to encrypt the secret with.
            QuotaError: The person has as many as they may have, or too many ask at once.
        """
        if not self._safe.can_seal:
            raise SettingsError(
                "Webhooks need a key for their secrets: the operator sets EXPORTS_ENCRYPTION_KEY "
                "or EXPORTS_WEBHOOK_ENCRYPTION_KEY."
            )
        webhook_id, secret = names.new_webhook_id(), new_secret()
        document: Stored = {
            "_id": webhook_id,
            "createdBy": uid,
            "url": url,
            ADDRESS: names.webhook_address(uid, url),
            "createdAt": now_ms(),
            _SECRETS: first(self._safe, secret, of=webhook_id),
            _ROTATIONS: 0,
        }
        for _ in range(_ATTEMPTS):
            own = await self._documents({"createdBy": uid})
            for other in own:
                if other[ADDRESS] == document[ADDRESS]:
                    return Webhook.from_document(other), None
            free = {names.webhook_slot(uid, number) for number in range(MAX_WEBHOOKS)}
            free -= {other[SLOT] for other in own}
            if not free:
                raise QuotaError(
                    f"You have {len(own)} webhooks, and the limit is {MAX_WEBHOOKS}. Remove one."
                )
            # Not the first one, which all others who add now would try to take as well.
            document[SLOT] = random.choice(sorted(free))
            with suppress(ConflictError):  # another call took the slot, or has this address
                async with deadline(self._webhooks):
                    await self._webhooks.insert_one(document)
                return Webhook.from_document(document), secret
        raise _too_many()

    async def all_of(self, uid: str) -> list[Webhook]:
        """Return the webhooks of a person, oldest first."""
        found = [Webhook.from_document(item) for item in await self._documents({"createdBy": uid})]
        return sorted(found, key=lambda webhook: (webhook.created_at, webhook.id))

    async def find(self, uid: str, webhook_id: str) -> Webhook:
        """Return a webhook.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
        """
        return Webhook.from_document(await self._document(uid, webhook_id))

    async def signing(self, uid: str, webhook_id: str) -> Signing:
        """Return a webhook with the secrets that sign its messages now.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
            EncryptionKeyError: None of its secrets can be decrypted.
        """
        document = await self._document(uid, webhook_id)
        return Signing(
            Webhook.from_document(document),
            opened(self._safe, document[_SECRETS], of=webhook_id, now=now_ms()),
        )

    async def rotate(self, uid: str, webhook_id: str) -> tuple[Webhook, bytes]:
        """Make a new secret. Those that sign now go on for a while.

        To do it again, because the answer was lost, gives one more: the old ones still sign.

        Returns:
            The webhook and the new secret.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
            QuotaError: It was done too often within a day, or by too many at once.
        """
        secret = new_secret()
        for _ in range(_ATTEMPTS):
            document = await self._document(uid, webhook_id)
            now = now_ms()
            changed = await self._change(
                {"_id": webhook_id, "createdBy": uid, _ROTATIONS: document[_ROTATIONS]},
                {
                    "$set": {
                        _SECRETS: rotated(
                            self._safe, secret, of=webhook_id, older=document[_SECRETS], now=now
                        )
                    },
                    "$inc": {_ROTATIONS: 1},
                },
            )
            if changed:
                return Webhook.from_document(document), secret
        raise _too_many()

    async def switch_on(self, uid: str, webhook_id: str) -> Webhook:
        """Let a webhook get messages again, and return it.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
        """
        if _ID.fullmatch(webhook_id):
            await self._change(
                {"_id": webhook_id, "createdBy": uid},
                {"$unset": {_OFF: "", _SINCE: "", _FAILED_AT: ""}},
            )
        return await self.find(uid, webhook_id)

    async def remove(self, uid: str, webhook_id: str) -> None:
        """Remove a webhook. To remove it again does nothing.

        Raises:
            TaskNotFoundError: There was none, or it is somebody else's.
        """
        known = {"_id": webhook_id, "createdBy": uid}
        gone = (SLOT, ADDRESS, _SECRETS, _OFF, _SINCE, _FAILED_AT, _TESTS, "url")
        update = {"$set": {REMOVED: datetime.now(UTC)}, "$unset": dict.fromkeys(gone, "")}
        if _ID.fullmatch(webhook_id):
            if await self._change(known, update):
                return
            if await read_one(self._webhooks, known, {"_id": True}) is not None:
                return
        raise _missing()

    async def begin_test(self, uid: str, webhook_id: str) -> None:
        """Count a test.

        Raises:
            TaskNotFoundError: There is no such webhook, or it is somebody else's.
            RateError: There were too many within a minute.
        """
        now = now_ms()
        # The last ones are kept: the first of them says whether one more is allowed.
        is_allowed: Stored = {
            "$or": [
                {f"{_TESTS}.{MAX_TESTS - 1}": {"$exists": False}},
                {f"{_TESTS}.0": {"$lte": now - millis(TESTS_WITHIN)}},
            ]
        }
        counted: Stored = {"$push": {_TESTS: {"$each": [now], "$slice": -MAX_TESTS}}}
        if not await self._change({"_id": webhook_id, "createdBy": uid, **is_allowed}, counted):
            oldest = (await self._document(uid, webhook_id))[_TESTS][0]
            raise RateError(
                f"A webhook can be tested {MAX_TESTS} times within a minute.",
                retry_after=as_seconds(oldest + millis(TESTS_WITHIN) - now),
            )

    async def succeeded(self, webhook_id: str) -> None:
        """Keep that an attempt has succeeded."""
        await self._change(
            {"_id": webhook_id, _SINCE: {"$exists": True}},
            {"$unset": {_SINCE: "", _FAILED_AT: ""}},
        )

    async def failed(self, webhook: Webhook, at: int, *, since: int) -> None:
        """Keep that an attempt has failed, unless another one has succeeded meanwhile.

        Args:
            webhook: Which one, as it was before the attempt.
            at: When the attempt was made (epoch milliseconds).
            since: Since when every attempt has failed (epoch milliseconds).
        """
        before = webhook.failing_since
        await self._change(
            {"_id": webhook.id, _SINCE: {"$exists": False} if before is None else before},
            {"$set": {_SINCE: since}, "$max": {_FAILED_AT: at}},
        )

    async def switch_off(
        self,
        webhook: Webhook,
        reason: str,
        *,
        tell: Sequence[str],
        failing_since: int | None = None,
    ) -> None:
        """Let a webhook get no more messages. By the same write, its owner is to be told.

        Args:
            webhook: Which one. If it is off by now, nothing changes.
            reason: Why, in one sentence.
            tell: By which channels its owner is told.
            failing_since: Only if it has failed since then, and no attempt has succeeded meanwhile.
        """
        at = now_ms()
        off = SwitchedOff(at=at, reason=reason)
        message = Message(
            id=names.webhook_disabled_id(webhook.id, at),
            event=Event.WEBHOOK_DISABLED,
            at=at,
            created_by=webhook.created_by,
            # Not its host, which goes through Temporal: see `with_host`.
            subject=Subject(id=webhook.id, name=webhook.id, reason=reason),
        )
        since = {} if failing_since is None else {_SINCE: failing_since}
        await self._change(
            {"_id": webhook.id, _OFF: {"$exists": False}, **since},
            {"$set": {_OFF: off.model_dump(by_alias=True)}, "$push": notice(message, tell)},
        )

    async def _documents(self, query: Stored) -> list[Stored]:
        return await read(self._webhooks, {**query, **_IS_THERE})

    async def _document(self, uid: str, webhook_id: str) -> Stored:
        # What can't be an id, such as half a character, never reaches the database.
        known = {"_id": webhook_id, "createdBy": uid}
        found = await self._documents(known) if _ID.fullmatch(webhook_id) else []
        if not found:
            raise _missing()
        return found[0]

    async def _change(self, query: Stored, update: Stored) -> bool:
        async with deadline(self._webhooks):
            return (
                await self._webhooks.update_one({**query, **_IS_THERE}, update)
            ).matched_count > 0


def _missing() -> TaskNotFoundError:
    return TaskNotFoundError("There is no such webhook.")


def _too_many() -> QuotaError:
    return QuotaError("Too many ask at the same moment. Ask again.")
