"""The keys that payloads are encrypted with: the value of `EXPORTS_ENCRYPTION_KEY`."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Annotated, Final, Self

from pydantic import AfterValidator, SecretStr

KEY_BYTES: Final = 32
"""Length of a key of AES-256, in bytes."""

# An id is shorter than a key in base64. So if somebody writes KEY:ID, the key is not taken for an
# id, which messages show.
_KEY_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")
_SEPARATOR: Final = re.compile(r"[\s,]+")


@dataclass(frozen=True)
class EncryptionKey:
    """One key.

    Attributes:
        key_id: Its name, which is in each payload that it encrypts. It is not secret.
        secret: The key itself.
    """

    key_id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class EncryptionKeys:
    """The keys of an installation: the first encrypts, all decrypt.

    Attributes:
        keys: In the order of the setting; empty if payloads are not encrypted.
    """

    keys: tuple[EncryptionKey, ...] = ()

    @classmethod
    def of(cls, text: SecretStr | None) -> Self:
        """Read `ID:KEY,ID:KEY`, each key being 32 bytes in base64.

        Raises:
            ValueError: The text is wrong. The message says which key it is (`key 2`), and never
                contains any part of the text.
        """
        if text is None:
            return cls()
        pairs = [pair for pair in _SEPARATOR.split(text.get_secret_value()) if pair]
        if not pairs:
            raise ValueError("has no key; write ID:KEY, or several of them with commas in between")
        keys = tuple(_key(pair, f"key {number}") for number, pair in enumerate(pairs, start=1))
        if len({key.key_id for key in keys}) < len(keys):
            raise ValueError("has two keys with the same id; every key needs an id of its own")
        if len({key.secret for key in keys}) < len(keys):
            raise ValueError("has the same key under two ids; every id needs a key of its own")
        return cls(keys)

    @property
    def first(self) -> EncryptionKey | None:
        """The key that encrypts; None without keys."""
        return self.keys[0] if self.keys else None


def _key(pair: str, which: str) -> EncryptionKey:
    key_id, colon, encoded = pair.partition(":")
    if not colon or not _KEY_ID.fullmatch(key_id):
        raise ValueError(f"{which} must be ID:KEY; an id has 1 to 32 letters, digits and . _ -")
    try:
        # Both alphabets of base64 are accepted, because tools differ.
        secret = base64.b64decode(encoded.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(
            f"{which} is not base64; `openssl rand -base64 {KEY_BYTES}` makes a key"
        ) from None
    if len(secret) != KEY_BYTES:
        raise ValueError(
            f"{which} has {len(secret)} bytes instead of {KEY_BYTES}; "
            f"`openssl rand -base64 {KEY_BYTES}` makes a key"
        )
    return EncryptionKey(key_id, secret)


def _checked(text: SecretStr) -> SecretStr:
    EncryptionKeys.of(text)
    return text


EncryptionKeyText = Annotated[SecretStr, AfterValidator(_checked)]
"""The type of a setting with encryption keys."""
