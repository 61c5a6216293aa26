"""Encrypts what goes to Temporal, and decrypts what comes from there: AES-256-GCM."""

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
_NOT_SHOWN: Final = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_SHOWN: Final = 40


class EncryptionCodec(PayloadCodec):
    """Encrypts with the first key and decrypts with any. Without keys it encrypts nothing.

    What is not encrypted passes: runs from before the switch, and what people start by hand,
    stay readable. What it has no key for is an error also if it has none at all, because the
    payload converter would take it for rubbish, and rubbish fails its workflow for good.

    Args:
        keys: The keys.
    """

    def __init__(self, keys: EncryptionKeys) -> None:
        self._ciphers = {key.key_id: AESGCM(key.secret) for key in keys.keys}
        self._first = keys.first.key_id if keys.first else None

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt payloads."""
        if self._first is None:
            return list(payloads)
        return [self._encrypted(payload, self._first) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt those payloads that are encrypted.

        Raises:
            EncryptionKeyError: None of the keys decrypts one.
        """
        return [
            self._decrypted(payload)
            if payload.metadata.get(_ENCODING, b"") == _ENCRYPTED
            else payload
            for payload in payloads
        ]

    def _encrypted(self, payload: Payload, key_id: str) -> Payload:
        nonce, name = os.urandom(_NONCE_BYTES), key_id.encode()
        sealed = self._ciphers[key_id].encrypt(nonce, payload.SerializeToString(), name)
        return Payload(metadata={_ENCODING: _ENCRYPTED, _KEY_ID: name}, data=nonce + sealed)

    def _decrypted(self, payload: Payload) -> Payload:
        name = payload.metadata.get(_KEY_ID, b"")
        shown = _NOT_SHOWN.sub("?", name.decode(errors="replace"))[:_LONGEST_SHOWN]
        cipher = self._ciphers.get(name.decode(errors="replace"))
        if cipher is None:
            raise EncryptionKeyError(
                f"This is encrypted with the key {shown!r}, which EXPORTS_ENCRYPTION_KEY lacks."
            )
        nonce, sealed = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(cipher.decrypt(nonce, sealed, name))
        except (InvalidTag, DecodeError, ValueError):
            raise EncryptionKeyError(
                f"This does not open with the key {shown!r} of EXPORTS_ENCRYPTION_KEY: another key "
                "has that id elsewhere, or the payload was changed."
            ) from None
