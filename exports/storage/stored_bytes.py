"""ETags, which show that an object store holds the bytes that were sent.

The ETag of an object from a single put is its MD5; that of a multipart upload is the MD5 of the
MD5s of its parts, and the number of parts. This is different where the store encrypts with keys
of KMS or of the caller (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html). So an
ETag that is as expected proves that the store holds these bytes; any other proves nothing.
"""

import hashlib
from collections.abc import Sequence


def md5_of(data: bytes) -> bytes:
    """Return the MD5 of an object or of a part."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def whole_etag(data: bytes) -> str:
    """Return the expected ETag of an object from a single put."""
    return md5_of(data).hex()


def multipart_etag(parts: Sequence[bytes]) -> str:
    """Return the expected ETag of a multipart upload.

    Args:
        parts: The MD5 of each part.
    """
    return f"{md5_of(b''.join(parts)).hex()}-{len(parts)}"
