"""The keys that payloads are encrypted with, as `EXPORTS_ENCRYPTION_KEY` lists them."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Annotated, Final, Self

from pydantic import AfterValidator, SecretStr

KEY_BYTES: Final = 32
"""Length of a key: that of AES-256."""

# Too short for a key in base64, so that a pair that was written the wrong way round is refused
# before its first half is taken for a name and shown.
_KEY_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")
_BETWEEN: Final = re.compile(r"[\s,]+")


@dataclass(frozen=True)
class EncryptionKey:
    """One key.

    Attributes:
        key_id: Its name, which stands in each payload that it encrypts. No secret.
        secret: Its bytes.
    """

    key_id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class EncryptionKeys:
    """The keys of an installation: the first encrypts, all decrypt.

    Attributes:
        keys: In order; none if nothing is encrypted.
    """

    keys: tuple[EncryptionKey, ...] = ()

    @classmethod
    def of(cls, text: SecretStr | None) -> Self:
        """Read `ID:KEY,ID:KEY`, each key 32 bytes in base64.

        Raises:
            ValueError: It can't be read; says which key is wrong, by its place, and never what
                was given.
        """
        if text is None:
            return cls()
        pairs = [pair for pair in _BETWEEN.split(text.get_secret_value()) if pair]
        if not pairs:
            raise ValueError("holds no key; it is ID:KEY, or several with commas in between")
        keys = tuple(_key(pair, f"key {place}") for place, pair in enumerate(pairs, start=1))
        if len({key.key_id for key in keys}) < len(keys):
            raise ValueError("has two keys with one id; a new key needs a new id")
        if len({key.secret for key in keys}) < len(keys):
            raise ValueError("has one key under two ids; a new id needs a new key")
        return cls(keys)

    @property
    def first(self) -> EncryptionKey | None:
        """The key that encrypts."""
        return self.keys[0] if self.keys else None


def _key(pair: str, which: str) -> EncryptionKey:
    key_id, colon, encoded = pair.partition(":")
    if not colon or not _KEY_ID.fullmatch(key_id):
        raise ValueError(
            f"{which} is not ID:KEY, with an id of 1 to 32 letters, digits, dots, - and _"
        )
    try:
        # Both alphabets: which one a tool writes is a matter of taste.
        secret = base64.b64decode(encoded.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{which} is not base64: openssl rand -base64 {KEY_BYTES}") from None
    if len(secret) != KEY_BYTES:
        raise ValueError(
            f"{which} has {len(secret)} bytes and not {KEY_BYTES}: openssl rand -base64 {KEY_BYTES}"
        )
    return EncryptionKey(key_id, secret)


def _readable(text: SecretStr) -> SecretStr:
    EncryptionKeys.of(text)
    return text


EncryptionKeyText = Annotated[SecretStr, AfterValidator(_readable)]
"""A setting that holds keys."""
