"""The secrets of a webhook, as its document has them: encrypted, the newest first."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from exports.clock import millis
from exports.documents import Stored
from exports.encryption.sealed import Safe, Sealed
from exports.errors import EncryptionKeyError, QuotaError

OVERLAP: Final = timedelta(hours=24)
"""How long the old secret signs as well, after a rotation."""
MAX_SECRETS: Final = 5
"""How many secrets sign at once, so that nobody makes the signatures long."""

_UNTIL: Final = "until"


def first(safe: Safe, secret: bytes, *, of: str) -> list[Stored]:
    """Return what is stored of the only secret of a webhook.

    Args:
        safe: Encrypts it.
        secret: The secret.
        of: The id of the webhook.
    """
    return [{**safe.seal(secret, of=of)._asdict(), _UNTIL: None}]


def rotated(
    safe: Safe, secret: bytes, *, of: str, older: Sequence[Stored], now: int
) -> list[Stored]:
    """Return what is stored of a new secret and of those before it, which sign for a while.

    Args:
        safe: Encrypts it.
        secret: The new secret.
        of: The id of the webhook.
        older: What is stored now.
        now: The time (epoch milliseconds).

    Raises:
        QuotaError: There are as many as there may be.
    """
    kept = [{**item, _UNTIL: item[_UNTIL] or now + millis(OVERLAP)} for item in _valid(older, now)]
    if len(kept) >= MAX_SECRETS:
        raise QuotaError(
            f"{len(kept)} secrets of this webhook are valid, and the limit is {MAX_SECRETS}. An "
            f"old one ends {OVERLAP.total_seconds() / 3600:.0f} h after it was replaced.",
            retry_at=kept[-1][_UNTIL],
        )
    return [*first(safe, secret, of=of), *kept]


def opened(safe: Safe, stored: Sequence[Stored], *, of: str, now: int) -> list[bytes]:
    """Return the secrets that sign at a time (epoch milliseconds), the newest first.

    One that can't be decrypted is left out: the receiver may have another one.

    Raises:
        EncryptionKeyError: None of them can be decrypted.
    """
    found: list[bytes] = []
    refused: EncryptionKeyError | None = None
    for item in _valid(stored, now):
        try:
            found.append(safe.open(Sealed(item["key"], bytes(item["data"])), of=of))
        except EncryptionKeyError as error:
            refused = error
    if refused is not None and not found:
        raise refused
    return found


def _valid(stored: Sequence[Stored], now: int) -> list[Stored]:
    return [item for item in stored if item[_UNTIL] is None or item[_UNTIL] > now]
