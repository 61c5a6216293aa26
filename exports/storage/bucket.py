"""The bucket: staged parts and finished files."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from botocore.exceptions import ClientError

from exports import names
from exports.errors import StagingError
from exports.settings import Settings
from exports.storage.links import end_of_link, lifetime, temporary_credentials
from exports.storage.s3 import (
    MISSING_OBJECT,
    content_disposition,
    error_code,
    s3_client,
    translated,
)
from exports.storage.upload import FileUpload, Uploaded

_DELETES_IN_FLIGHT: Final = 8


@dataclass(frozen=True)
class StoredObject:
    """One object or open multipart upload in the bucket."""

    key: str
    changed_at: datetime
    upload_id: str | None = None


@dataclass(frozen=True)
class Link:
    """A presigned link. Whoever holds it can read the object: it is a secret.

    Attributes:
        url: The link.
        expires_at: When it ends, in epoch milliseconds.
    """

    url: str = field(repr=False)
    expires_at: int


class ObjectStore:
    """One bucket, or the part of it under a prefix. Thread-safe; every call blocks.

    All methods raise `BucketMissingError`, `StoreAccessError` (both permanent) or
    `StoreUnavailableError`; no message names a key of the object store's credentials.

    Args:
        settings: Endpoint, bucket, credentials.
    """

    def __init__(self, settings: Settings) -> None:
        self._bucket = settings.s3_bucket
        self._prefix = settings.s3_prefix
        self._client = s3_client(settings, settings.s3_endpoint_url)
        public = settings.s3_public_endpoint_url
        self._signer = s3_client(settings, public) if public else self._client
        self._credentials = temporary_credentials(settings)

    def check(self) -> None:
        """Ask whether the bucket is there and the credentials are good, without changing it."""
        with translated(self._bucket):
            # Where everybody may look, also who only signs links.
            prefix = self._prefix + names.FILES
            self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1)

    def put(self, key: str, data: bytes) -> None:
        """Write a small object."""
        with translated(self._bucket):
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data)

    def get(self, key: str, *, first: int | None = None) -> bytes:
        """Read an object.

        Args:
            key: Its key.
            first: Read only so many bytes from its beginning.

        Raises:
            StagingError: It is not there.
        """
        with translated(self._bucket):
            try:
                if first is None:
                    found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
                else:
                    found = self._client.get_object(
                        Bucket=self._bucket, Key=self._prefix + key, Range=f"bytes=0-{first - 1}"
                    )
                with closing(found["Body"]) as body:
                    return body.read()
            except ClientError as error:
                if error_code(error) in MISSING_OBJECT:
                    raise StagingError("A staged part is not in the bucket any more.") from None
                if error_code(error) == "InvalidRange":  # an empty object has no first byte
                    return b""
                raise

    def upload(
        self,
        key: str,
        pieces: Iterable[bytes],
        *,
        media_type: str,
        file_name: str,
        stop: threading.Event,
    ) -> Uploaded:
        """Write a file of any size; it appears whole or not at all.

        A file of one part is put, a longer one goes up in parts of `PART_SIZE`, some at a time.

        Args:
            key: Where.
            pieces: The content; pulled as the upload goes on.
            media_type: Content type.
            file_name: Name for those who download it without a link of ours.
            stop: Checked between pieces and before the file appears; when set, the upload is
                aborted.

        Raises:
            StoppedError: `stop` was set.
        """
        upload = FileUpload(
            self._client,
            bucket=self._bucket,
            key=self._prefix + key,
            media_type=media_type,
            file_name=file_name,
            stop=stop,
            abort=lambda upload_id: self.remove(StoredObject(key, datetime.now(UTC), upload_id)),
        )
        with translated(self._bucket):
            return upload.write(pieces)

    def link(self, key: str, *, file_name: str, ttl: timedelta) -> Link:
        """Return a presigned link that downloads an object under a name for people.

        Args:
            key: The object.
            file_name: Its name for people.
            ttl: How long the link is to be good; less if the credentials end before. Whole
                seconds count.
        """
        with translated(self._bucket):
            url = self._signer.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": self._prefix + key,
                    "ResponseContentDisposition": content_disposition(file_name),
                },
                ExpiresIn=lifetime(self._credentials, int(ttl.total_seconds())),
            )
        return Link(url, end_of_link(url))

    def exists(self, key: str) -> bool:
        """Say whether an object is there."""
        with translated(self._bucket):
            try:
                self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
            except ClientError as error:
                if error_code(error) in MISSING_OBJECT:
                    return False
                raise
            return True

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the objects under a prefix, a page at a time."""
        with translated(self._bucket):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for item in page.get("Contents", []):
                    if "Key" in item and "LastModified" in item:
                        yield StoredObject(self._own(item["Key"]), item["LastModified"])

    def open_uploads(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the multipart uploads under a prefix that were neither completed nor aborted."""
        with translated(self._bucket):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for item in page.get("Uploads", []):
                    if "Key" in item and "Initiated" in item and "UploadId" in item:
                        yield StoredObject(
                            self._own(item["Key"]), item["Initiated"], item["UploadId"]
                        )

    def remove(self, item: StoredObject) -> None:
        """Delete an object, or abort an open upload; nothing if it is gone already."""
        key = self._prefix + item.key
        with translated(self._bucket):
            if item.upload_id is None:
                self._client.delete_object(Bucket=self._bucket, Key=key)
                return
            try:
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=item.upload_id
                )
            except ClientError as error:
                if error_code(error) != "NoSuchUpload":
                    raise

    def remove_all(self, keys: Sequence[str]) -> None:
        """Delete objects, those that are gone already included.

        One by one, some at a time: the call for many needs a Content-MD5 on Tencent COS, which
        boto3 does not send, and a permission of its own.
        """

        def remove(key: str) -> None:
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

        with translated(self._bucket):
            if len(keys) == 1:
                remove(keys[0])
                return
            with ThreadPoolExecutor(_DELETES_IN_FLIGHT, "delete") as pool:
                for _ in pool.map(remove, keys):
                    pass

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._signer.close()

    def _own(self, key: str) -> str:
        return key.removeprefix(self._prefix)
