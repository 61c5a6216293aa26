"""What shows that an object store holds the bytes that were sent.

The ETag of an object from a single put is its MD5; that of a multipart upload is the MD5 of the
MD5s of its parts, and the number of parts. This is different where the store encrypts with keys
of KMS or of the caller (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html). There,
the answer may have a checksum: the SHA-256 that was asked for, or on Tencent COS always a CRC-64
(https://www.tencentcloud.com/document/product/436/34078). An ETag or a checksum that is as expected
proves that the store holds these bytes; any other proves nothing.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from fastcrc import crc64


def md5_of(data: bytes) -> bytes:
    """Return the MD5 of an object or of a part."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def multipart_etag(parts: Sequence[bytes]) -> str:
    """Return the expected ETag of a multipart upload.

    Args:
        parts: The MD5 of each part.
    """
    return f"{md5_of(b''.join(parts)).hex()}-{len(parts)}"


def etag_of(answer: Mapping[str, Any]) -> str:
    """Return the ETag in an answer of the store."""
    return str(answer.get("ETag", "")).strip('"')


def has_checksum_of(data: bytes, answer: Mapping[str, Any]) -> bool:
    """Return whether a checksum in the answer to a put is that of these bytes.

    Args:
        data: What was sent, an object or a part.
        answer: The answer of the store.
    """
    sha256 = answer.get("ChecksumSHA256")
    if sha256 is not None:
        return bool(sha256 == b64encode(hashlib.sha256(data).digest()).decode())
    found = answer["ResponseMetadata"]["HTTPHeaders"].get("x-cos-hash-crc64ecma")
    return found is not None and found == str(crc64.xz(data))
