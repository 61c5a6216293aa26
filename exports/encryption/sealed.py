"""Secrets that are stored encrypted, each bound to the document that it is in."""

import os
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exports.encryption.keys import EncryptionKeys
from exports.errors import EncryptionKeyError

_NONCE_BYTES: Final = 12


class Sealed(NamedTuple):
    """An encrypted secret.

    Attributes:
        key: The id of the key that encrypted it.
        data: What was encrypted.
    """

    key: str
    data: bytes


class Safe:
    """Encrypts with the first key, by AES-256-GCM, and decrypts with any of them.

    Args:
        keys: The keys.
        setting: The name of their setting, for messages.
    """

    def __init__(self, keys: EncryptionKeys, *, setting: str) -> None:
        self._keys = {key.key_id: AESGCM(key.secret) for key in keys.keys}
        self._setting = setting

    @property
    def can_seal(self) -> bool:
        """Whether there is a key."""
        return bool(self._keys)

    def seal(self, secret: bytes, *, of: str) -> Sealed:
        """Encrypt a secret.

        Args:
            secret: The secret.
            of: What it belongs to, such as an id: in the place of another one, nobody can open it.
        """
        key, cipher = next(iter(self._keys.items()))
        nonce = os.urandom(_NONCE_BYTES)
        return Sealed(key, nonce + cipher.encrypt(nonce, secret, f"{of}\0{key}".encode()))

    def open(self, sealed: Sealed, *, of: str) -> bytes:
        """Decrypt a secret.

        Raises:
            EncryptionKeyError: There is no key for it, or its key does not decrypt it.
        """
        cipher = self._keys.get(sealed.key)
        nonce, encrypted = sealed.data[:_NONCE_BYTES], sealed.data[_NONCE_BYTES:]
        try:
            if cipher is not None:
                return cipher.decrypt(nonce, encrypted, f"{of}\0{sealed.key}".encode())
        except (InvalidTag, ValueError):
            pass
        raise EncryptionKeyError(
            f"A stored secret can't be decrypted: its key is not in {self._setting}, or is another "
            "one with the same id."
        )
