"""What an object store says of the bytes that it holds, and what it has to say of ours.

The ETag of an object that was put in one piece is its MD5; that of a multipart upload is the MD5
of its parts' MD5s, and their number. It is not so where the store encrypts with keys of KMS or of
the caller (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html). So an ETag that is
what it should be proves that the store holds these bytes, and another proves nothing.
"""

import hashlib
from collections.abc import Sequence


def md5_of(data: bytes) -> bytes:
    """Return the MD5 of an object or of a part."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def whole_etag(data: bytes) -> str:
    """Return the ETag of an object that was put in one piece."""
    return md5_of(data).hex()


def multipart_etag(parts: Sequence[bytes]) -> str:
    """Return the ETag of a multipart upload.

    Args:
        parts: The MD5 of each part.
    """
    return f"{md5_of(b''.join(parts)).hex()}-{len(parts)}"
