"""The bucket: staged parts and finished files."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from exports import names
from exports.errors import ExportError, StagingError, StoreUnavailableError
from exports.links import end_of_link, lifetime, temporary_credentials
from exports.s3 import MISSING_OBJECT, content_disposition, error_code, s3_client, translated
from exports.settings import Settings
from exports.stored_bytes import md5_of, multipart_etag, whole_etag

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

# S3 allows 5 MiB to 5 GiB a part and 10,000 parts:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
PART_SIZE: Final = 16 * 1024 * 1024
_PARTS_IN_FLIGHT: Final = 4
_DELETES_IN_FLIGHT: Final = 8
_READ_BACK: Final = 1024 * 1024


class StoppedError(Exception):
    """The caller asked an upload to stop; nothing of it is left."""


@dataclass(frozen=True)
class StoredObject:
    """One object or open multipart upload in the bucket."""

    key: str
    changed_at: datetime
    upload_id: str | None = None


@dataclass(frozen=True)
class Uploaded:
    """What an upload came to: size in bytes and SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


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
        digest = hashlib.sha256()
        size = 0

        def go_on() -> None:
            if stop.is_set():
                raise StoppedError

        def observed() -> Iterator[bytes]:
            nonlocal size
            for piece in pieces:
                go_on()
                digest.update(piece)
                size += len(piece)
                yield piece

        headers = _Headers(media_type, content_disposition(file_name))
        parts = _in_parts(observed())
        head = list(islice(parts, 2))
        with translated(self._bucket):
            if len(head) < 2:  # noqa: PLR2004 -- one part, or none
                go_on()
                etag, seen = self._put_whole(key, b"".join(head), headers)
            else:
                etag = self._put_in_parts(
                    key, _chain(head, parts), headers, before_completion=go_on
                )
                seen = ""  # of an upload that was put together, the object itself is asked
            uploaded = Uploaded(bytes=size, sha256=digest.hexdigest())
            if seen != etag:
                self._check_stored(key, uploaded, etag=etag, go_on=go_on)
        return uploaded

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

    def _check_stored(
        self, key: str, uploaded: Uploaded, *, etag: str, go_on: Callable[[], None]
    ) -> None:
        """Make sure that the store holds what was sent; where its ETag can't tell, read it back.

        Raises:
            StoreUnavailableError: It holds something else; another attempt writes another object.
        """
        stored = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)
        if stored["ContentLength"] != uploaded.bytes:
            raise StoreUnavailableError(
                f"The object store holds {stored['ContentLength']} bytes of {uploaded.bytes}."
            )
        if stored.get("ETag", "").strip('"') == etag:
            return
        digest = hashlib.sha256()
        found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        with closing(found["Body"]) as body:
            for piece in body.iter_chunks(_READ_BACK):
                go_on()
                digest.update(piece)
        if digest.hexdigest() != uploaded.sha256:
            raise StoreUnavailableError("The object store holds other bytes than it was sent.")

    def _put_whole(self, key: str, data: bytes, headers: "_Headers") -> tuple[str, str]:
        """Put an object; return the ETag that shows that it is these bytes, and the answer's."""
        answer = self._client.put_object(
            Bucket=self._bucket,
            Key=self._prefix + key,
            Body=data,
            ContentType=headers.media_type,
            ContentDisposition=headers.disposition,
        )
        return whole_etag(data), answer.get("ETag", "").strip('"')

    def _put_in_parts(
        self,
        key: str,
        parts: Iterable[bytes],
        headers: "_Headers",
        *,
        before_completion: Callable[[], None],
    ) -> str:
        """Put an object in parts; return the ETag that shows that it is these bytes."""
        upload_id = self._client.create_multipart_upload(
            Bucket=self._bucket,
            Key=self._prefix + key,
            ContentType=headers.media_type,
            ContentDisposition=headers.disposition,
        )["UploadId"]

        def put(number: int, data: bytes) -> tuple["CompletedPartTypeDef", bytes]:
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=self._prefix + key,
                UploadId=upload_id,
                PartNumber=number,
                Body=data,
            )
            return {"PartNumber": number, "ETag": answer["ETag"]}, md5_of(data)

        completed = False
        try:
            # Leaving the pool waits for the parts in flight, so that none arrives after an abort.
            with ThreadPoolExecutor(_PARTS_IN_FLIGHT, "upload-part") as pool:
                sent: list[Future[tuple[CompletedPartTypeDef, bytes]]] = []
                for number, data in enumerate(parts, start=1):
                    if number > _PARTS_IN_FLIGHT:
                        # Waiting for the oldest bounds the memory to the parts in flight.
                        sent[number - 1 - _PARTS_IN_FLIGHT].result()
                    sent.append(pool.submit(put, number, data))
                results = [future.result() for future in sent]
            done = [part for part, _ in results]
            # A gap would make a file that is whole to S3 and lacks rows to people.
            if [part.get("PartNumber") for part in done] != list(range(1, len(done) + 1)):
                raise StoreUnavailableError("The parts of the upload are not 1, 2, 3 and so on.")
            before_completion()
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._prefix + key,
                UploadId=upload_id,
                MultipartUpload={"Parts": done},
            )
            completed = True
        finally:
            if not completed:
                # A store that is away keeps the upload until the sweep removes it; what is to be
                # said is why the upload failed.
                with suppress(ExportError):
                    self.remove(StoredObject(key, datetime.now(UTC), upload_id))
        return multipart_etag([md5 for _, md5 in results])


@dataclass(frozen=True)
class _Headers:
    media_type: str
    disposition: str


def _in_parts(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held: list[memoryview] = []
    size = 0
    for piece in pieces:
        rest = memoryview(piece)
        while size + len(rest) >= PART_SIZE:
            held.append(rest[: PART_SIZE - size])
            rest = rest[PART_SIZE - size :]
            yield b"".join(held)
            held, size = [], 0
        if rest:
            held.append(rest)
            size += len(rest)
    if held:
        yield b"".join(held)


def _chain(head: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    while head:
        yield head.pop(0)  # a name for it here would keep the part in memory to the end
    yield from rest
