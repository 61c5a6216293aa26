"""Encrypts the payloads that are sent to Temporal, with AES-256-GCM, and decrypts them again."""

import os
import re
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from exports.encryption.keys import EncryptionKeys
from exports.errors import EncryptionKeyError

_ENCODING: Final = "encoding"
_ENCRYPTED: Final = b"binary/encrypted"
_KEY_ID: Final = "encryption-key-id"
# NIST SP 800-38D, 8.2.2 and 8.3: random nonces of 96 bits, for at most 2^32 payloads of a key.
_NONCE_BYTES: Final = 12
_NOT_IN_MESSAGES: Final = re.compile(r"[^A-Za-z0-9._-]")
_MAX_KEY_ID_CHARACTERS: Final = 40


class EncryptionCodec(PayloadCodec):
    """Encrypts with the first key and decrypts with any of them. Without keys it encrypts nothing.

    A payload that is not encrypted is returned as it is, so that runs from before encryption was
    switched on, and runs that people start by hand, can be read. An encrypted payload without
    its key is an error even if there are no keys at all: otherwise the payload converter would
    call it invalid, and an invalid input fails its workflow for good.

    Args:
        keys: The keys of this installation.
    """

    def __init__(self, keys: EncryptionKeys) -> None:
        self._ciphers = {key.key_id: AESGCM(key.secret) for key in keys.keys}
        self._first_id = keys.first.key_id if keys.first else None

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt payloads."""
        if self._first_id is None:
            return list(payloads)
        return [self._encrypted(payload, self._first_id) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt the payloads that are encrypted.

        Raises:
            EncryptionKeyError: There is no key for a payload, or its key does not decrypt it.
        """
        return [
            self._decrypted(payload)
            if payload.metadata.get(_ENCODING, b"") == _ENCRYPTED
            else payload
            for payload in payloads
        ]

    def _encrypted(self, payload: Payload, key_id: str) -> Payload:
        nonce, name = os.urandom(_NONCE_BYTES), key_id.encode()
        encrypted = self._ciphers[key_id].encrypt(nonce, payload.SerializeToString(), name)
        return Payload(metadata={_ENCODING: _ENCRYPTED, _KEY_ID: name}, data=nonce + encrypted)

    def _decrypted(self, payload: Payload) -> Payload:
        name = payload.metadata.get(_KEY_ID, b"")
        shown = _NOT_IN_MESSAGES.sub("?", name.decode(errors="replace"))[:_MAX_KEY_ID_CHARACTERS]
        cipher = self._ciphers.get(name.decode(errors="replace"))
        if cipher is None:
            raise EncryptionKeyError(
                f"The payload is encrypted with the key {shown!r}, which is not in "
                "EXPORTS_ENCRYPTION_KEY."
            )
        nonce, encrypted = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(cipher.decrypt(nonce, encrypted, name))
        except (InvalidTag, DecodeError, ValueError):
            raise EncryptionKeyError(
                f"The key {shown!r} of EXPORTS_ENCRYPTION_KEY does not decrypt the payload: it was "
                "encrypted with another key of the same id, or it was changed."
            ) from None
