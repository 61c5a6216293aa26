"""The bucket: staged parts and finished files."""

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.exceptions import ClientError

from exports import names
from exports.errors import StagingError, StoreDiffersError
from exports.runtime.outages import as_here, waits_in_thread
from exports.settings import Settings
from exports.storage.links import end_of_link, lifetime, temporary_credentials
from exports.storage.s3 import (
    MISSING_OBJECT,
    content_disposition,
    error_code,
    link_client,
    s3_client,
    translate_errors,
)
from exports.storage.upload import FileUpload, Uploaded

_DELETES_IN_FLIGHT: Final = 8
"""How many objects are deleted at the same time."""
_DIGITS: Final = 8
"""Hexadecimal digits of the fingerprint of a setting."""


@dataclass(frozen=True)
class StoredObject:
    """An object, or an open multipart upload.

    Attributes:
        key: Its key, without the installation's prefix.
        changed_at: When the object was written or the upload was begun.
        upload_id: The id of an open upload; None for an object.
    """

    key: str
    changed_at: datetime
    upload_id: str | None = None


@dataclass(frozen=True)
class Link:
    """A presigned link. Everyone who has it can read the object: it is a secret.

    Attributes:
        url: The link.
        expires_at: When it ends, in epoch milliseconds.
    """

    url: str = field(repr=False)
    expires_at: int


class ObjectStore:
    """One bucket, or the part of it under a prefix. Thread-safe; every call blocks.

    Every method that sends a request may raise one of these errors. No message names credentials.

    - `BucketMissingError`, `StoreAccessError`, `StoreRefusedError`, `TooLargeError`: permanent.
    - `StoreUnavailableError`, `ClockError`: a retry may help.

    Args:
        settings: Endpoint, bucket, credentials.

    Attributes:
        fingerprint: Which store this is: for each variable that says so, a short hash of its value.

    Raises:
        SettingsError: The settings are wrong, or the credentials are temporary and it is not
            known when they end.
    """

    def __init__(self, settings: Settings) -> None:
        self._bucket = settings.s3_bucket
        self._prefix = settings.s3_prefix
        self._client = s3_client(settings, settings.s3_endpoint_url)
        self._signer = link_client(settings) or self._client
        self._checksums = settings.s3_checksums == "when_supported"
        self._credentials = temporary_credentials(settings)
        self.fingerprint = {
            "EXPORTS_S3_ENDPOINT_URL": _hash((settings.s3_endpoint_url or "").rstrip("/")),
            "EXPORTS_S3_BUCKET": _hash(self._bucket),
            "EXPORTS_S3_PREFIX": _hash(self._prefix),
        }

    def check_is(self, fingerprint: Mapping[str, str] | None) -> None:
        """Check that this is the store that an export writes to.

        Args:
            fingerprint: Of that store; None if it is not known.

        Raises:
            StoreDiffersError: It is another one.
        """
        other = fingerprint or {}
        differ = [
            name for name, value in self.fingerprint.items() if other.get(name, value) != value
        ]
        if differ:
            raise StoreDiffersError(
                f"The files of this export are written with another {' and '.join(differ)} than"
                " this worker or client has. All workers and clients must have the same values."
            )

    def check(self) -> None:
        """Check that the bucket exists and the credentials are valid, without changing it."""
        with translate_errors(self._bucket):
            # Every role may list these objects, also the one that only signs links.
            prefix = self._prefix + names.FILES
            self._client.list_objects(Bucket=self._bucket, Prefix=prefix, MaxKeys=1)

    def put(self, key: str, data: bytes) -> None:
        """Write a small object."""
        with translate_errors(self._bucket):
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data)

    def get(self, key: str, *, first_bytes: int | None = None) -> bytes:
        """Read a staged part.

        Args:
            key: Its key.
            first_bytes: How many bytes to read from its beginning; None reads all.

        Raises:
            StagingError: It does not exist.
        """
        found = self.find(key, first_bytes=first_bytes)
        if found is None:
            raise StagingError("A staged part is no longer in the bucket.")
        return found

    @waits_in_thread
    def find(self, key: str, *, first_bytes: int | None = None) -> bytes | None:
        """Return the content of an object; None if there is no such object.

        Args:
            key: Its key.
            first_bytes: How many bytes to read from its beginning; None reads all.
        """
        with translate_errors(self._bucket):
            try:
                if first_bytes is None:
                    found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
                else:
                    found = self._client.get_object(
                        Bucket=self._bucket,
                        Key=self._prefix + key,
                        Range=f"bytes=0-{first_bytes - 1}",
                    )
                with closing(found["Body"]) as body:
                    return body.read()
            except ClientError as error:
                if error_code(error) in MISSING_OBJECT:
                    return None
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
        """Write a file of any size; it appears whole or not at all. See `FileUpload`.

        Args:
            key: Its key.
            pieces: The content; read as the upload proceeds.
            media_type: Content type.
            file_name: Name of the file for people who download it without a link of this service.
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
            checksums=self._checksums,
            abort=lambda upload_id: self.remove(StoredObject(key, datetime.now(UTC), upload_id)),
        )
        with translate_errors(self._bucket):
            return upload.write(pieces)

    def link(self, key: str, *, file_name: str, ttl: timedelta) -> Link:
        """Return a presigned link that downloads an object as a file with a name.

        Args:
            key: The key of the object.
            file_name: The name of the file.
            ttl: How long the link should be valid, in whole seconds; it is valid for less time if
                the credentials end earlier.
        """
        with translate_errors(self._bucket):
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

    def size(self, key: str) -> int | None:
        """Return how many bytes an object has; None if there is no such object."""
        with translate_errors(self._bucket):
            try:
                found = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
            except ClientError as error:
                if error_code(error) in MISSING_OBJECT:
                    return None
                raise
            return found["ContentLength"]

    def objects(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """Yield the objects under a prefix in the order of their keys, a page at a time.

        Args:
            prefix: The beginning of their keys.
            after: Only those whose keys come after this one, to go on with a listing.
        """
        # The stubs know no parameter to begin with.
        begin: dict[str, Any] = {"Marker": self._prefix + after} if after else {}
        with translate_errors(self._bucket):
            # By markers, not by tokens: where a store ignores `list-type=2`, as COS may, boto3
            # would end after the first page, without an error.
            pages = self._client.get_paginator("list_objects").paginate(
                Bucket=self._bucket,
                Prefix=self._prefix + prefix,
                **begin,
            )
            for page in pages:
                for item in page.get("Contents", []):
                    if "Key" in item and "LastModified" in item:
                        yield StoredObject(self._without_prefix(item["Key"]), item["LastModified"])

    def open_uploads(self, prefix: str) -> Iterator[StoredObject]:
        """Yield the multipart uploads under a prefix that are neither completed nor aborted."""
        with translate_errors(self._bucket):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix
            )
            for page in pages:
                for item in page.get("Uploads", []):
                    if "Key" in item and "Initiated" in item and "UploadId" in item:
                        yield StoredObject(
                            self._without_prefix(item["Key"]), item["Initiated"], item["UploadId"]
                        )

    def remove(self, item: StoredObject) -> None:
        """Delete an object or abort an open upload. No error if it does not exist."""
        key = self._prefix + item.key
        with translate_errors(self._bucket):
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

    def remove_file(self, key: str) -> None:
        """Delete a finished file and its preview. No error if they do not exist."""
        self.remove_all([key, names.preview_key(key)])

    def remove_all(self, keys: Sequence[str]) -> None:
        """Delete objects. No error if one does not exist.

        One request for each object, several at the same time: DeleteObjects needs a Content-MD5
        on Tencent COS, which boto3 does not send, and a separate permission.
        """

        def remove(key: str) -> None:
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

        with translate_errors(self._bucket):
            if len(keys) == 1:
                remove(keys[0])
                return
            with ThreadPoolExecutor(_DELETES_IN_FLIGHT, "delete", as_here()) as pool:
                for _ in pool.map(remove, keys):
                    pass

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._signer.close()

    def _without_prefix(self, key: str) -> str:
        return key.removeprefix(self._prefix)


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:_DIGITS]
