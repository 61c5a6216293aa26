"""The upload of one file, in one request or in parts, and the check that it has arrived."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from exports.errors import ExportError, StoreUnavailableError
from exports.runtime.outages import as_here, wait_no_more, waits_in_thread
from exports.storage.s3 import content_disposition, error_code, translate_errors
from exports.storage.stored_bytes import etag_of, has_checksum_of, md5_of, multipart_etag

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART_SIZE: Final = 6 * 1024 * 1024
"""Bytes of each of the first parts, but of the last.

S3 allows parts of 5 MiB to 5 GiB, and 10,000 parts:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""
PARTS_OF_A_SIZE: Final = 1800
"""After so many parts, the next ones are twice as large: 10,000 parts are 550 GB."""
_PARTS_IN_FLIGHT: Final = 3
"""How many parts are sent at the same time."""
_READ_BYTES: Final = 1024 * 1024
"""How much of a stored file is read at once to compare it."""
_LOOKS: Final = 13
"""How often to look for an object whose parts the store may still be joining: two minutes.

COS may take minutes (https://www.tencentcloud.com/document/product/436/7742).
"""
_BETWEEN_LOOKS = 10.0
"""Seconds."""


class StoppedError(Exception):
    """The caller asked the upload to stop. It was aborted and left nothing behind."""


@dataclass(frozen=True)
class Uploaded:
    """What was uploaded.

    Attributes:
        bytes: Size of the file.
        sha256: SHA-256 of the file, in hexadecimal.
    """

    bytes: int
    sha256: str


@dataclass(frozen=True)
class _SentPart:
    """A part that was sent.

    Attributes:
        part: What the store has to be told at the end.
        md5: Its MD5.
        proven: Whether the store has shown, by its ETag or a checksum, that it holds the part.
    """

    part: "CompletedPartTypeDef"
    md5: bytes
    proven: bool


@dataclass(frozen=True)
class _Sent:
    """An object that was sent.

    Attributes:
        etag: The ETag that it should have.
        proven: Whether the store has shown that it holds the object.
        has_parts: Whether the store has shown that it holds each part.
    """

    etag: str
    proven: bool = False
    has_parts: bool = False


class FileUpload:
    """The upload of one object, used in one thread. Errors of boto3 are not translated here.

    Args:
        client: Client of the object store.
        bucket: Name of the bucket.
        key: Key of the object in the bucket.
        media_type: Content type.
        file_name: Name of the file for people who download it without a link of this service.
        stop: Checked between pieces and before the object appears.
        checksums: Whether the store is asked for a SHA-256 of what it has got.
        abort: Aborts a multipart upload, given its id.
    """

    def __init__(
        self,
        client: "S3Client",
        *,
        bucket: str,
        key: str,
        media_type: str,
        file_name: str,
        stop: threading.Event,
        checksums: bool,
        abort: Callable[[str], None],
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._media_type = media_type
        self._disposition = content_disposition(file_name)
        self._stop = stop
        self._checksum: dict[str, Any] = {"ChecksumAlgorithm": "SHA256"} if checksums else {}
        self._abort = abort

    def write(self, pieces: Iterable[bytes]) -> Uploaded:
        """Write the object; it appears whole or not at all.

        Up to `PART_SIZE` it is a single put; a larger file is a multipart upload, with several
        parts at the same time.

        Args:
            pieces: The content; read as the upload proceeds.

        Raises:
            StoppedError: `stop` was set.
            StoreUnavailableError: The store does not hold what was sent.
        """
        digest = hashlib.sha256()
        size = 0

        def observed() -> Iterator[bytes]:
            nonlocal size
            for piece in pieces:
                self._check_not_stopped()
                digest.update(piece)
                size += len(piece)
                yield piece

        parts = _in_parts(observed())
        head = list(islice(parts, 2))
        if len(head) < 2:  # noqa: PLR2004 -- one part, or none
            self._check_not_stopped()
            sent = self._put_whole(b"".join(head))
        else:
            sent = self._put_in_parts(_chain(head, parts))
        uploaded = Uploaded(bytes=size, sha256=digest.hexdigest())
        if not sent.proven:
            self._check_stored(uploaded, sent)
        return uploaded

    def _check_not_stopped(self) -> None:
        if self._stop.is_set():
            raise StoppedError

    def _put_whole(self, data: bytes) -> "_Sent":
        """Put the object in one request."""
        answer = self._client.put_object(
            Bucket=self._bucket,
            Key=self._key,
            Body=data,
            ContentType=self._media_type,
            ContentDisposition=self._disposition,
            **self._checksum,
        )
        etag = md5_of(data).hex()
        return _Sent(etag, proven=etag_of(answer) == etag or has_checksum_of(data, answer))

    def _put_in_parts(self, parts: Iterable[bytes]) -> "_Sent":
        """Put the object as a multipart upload."""
        upload_id = self._client.create_multipart_upload(
            Bucket=self._bucket,
            Key=self._key,
            ContentType=self._media_type,
            ContentDisposition=self._disposition,
            **self._checksum,
        )["UploadId"]

        def put(number: int, data: bytes) -> "_SentPart":
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=upload_id,
                PartNumber=number,
                Body=data,
                **self._checksum,
            )
            part: CompletedPartTypeDef = {"PartNumber": number, "ETag": answer["ETag"]}
            if "ChecksumSHA256" in answer:  # AWS then wants to be told of it again
                part["ChecksumSHA256"] = answer["ChecksumSHA256"]
            md5 = md5_of(data)
            same = etag_of(answer) == md5.hex() or has_checksum_of(data, answer)
            return _SentPart(part, md5, proven=same)

        completed = False
        try:
            # At its end, the pool waits for the parts in flight: none arrives after an abort.
            with ThreadPoolExecutor(_PARTS_IN_FLIGHT, "upload-part", as_here()) as pool:
                sent: list[Future[_SentPart]] = []
                try:
                    for number, data in enumerate(parts, start=1):
                        if number > _PARTS_IN_FLIGHT:
                            # Waits for the oldest, so that memory holds only the parts in flight.
                            sent[number - 1 - _PARTS_IN_FLIGHT].result()
                        sent.append(pool.submit(put, number, data))
                    results = [future.result() for future in sent]
                except BaseException:
                    wait_no_more()
                    raise
            done = [result.part for result in results]
            # With a gap, S3 would accept the file, but rows would be missing.
            if [part.get("PartNumber") for part in done] != list(range(1, len(done) + 1)):
                raise StoreUnavailableError("A part of the upload is missing.")
            self._check_not_stopped()
            self._complete(upload_id, done)
            completed = True
        finally:
            if not completed:
                # If the abort fails too, the sweep removes the upload later. The error to report
                # is the one that made the upload fail.
                with suppress(ExportError):
                    self._abort(upload_id)
        return _Sent(
            multipart_etag([result.md5 for result in results]),
            has_parts=all(result.proven for result in results),
        )

    def _complete(self, upload_id: str, parts: "list[CompletedPartTypeDef]") -> None:
        try:
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
            )
        except (BotoCoreError, ClientError, HTTPError) as error:
            # Perhaps only the answer was lost. Then a second try is told NoSuchUpload, and the
            # object is there, or will be soon: nobody else writes to this key.
            joins = isinstance(error, ClientError) and error_code(error) == "NoSuchUpload"
            if not self._is_there(looks=_LOOKS if joins else 1):
                raise

    def _is_there(self, looks: int) -> bool:
        for look in range(looks):
            if look and self._stop.wait(_BETWEEN_LOOKS):
                break
            with suppress(BotoCoreError, ClientError, HTTPError):
                self._client.head_object(Bucket=self._bucket, Key=self._key)
                return True
        return False

    def _check_stored(self, uploaded: Uploaded, sent: "_Sent") -> None:
        """Check that the store holds what was sent; if nothing proves it, read it back.

        Raises:
            StoreUnavailableError: It does not. The next attempt writes another object.
        """
        stored = self._client.head_object(Bucket=self._bucket, Key=self._key)
        if stored["ContentLength"] != uploaded.bytes:
            raise StoreUnavailableError(
                f"The object store holds {stored['ContentLength']} of the {uploaded.bytes} bytes"
                " that were sent."
            )
        # The ETag of the whole may be anything. If the store has shown that it holds each part, it
        # was told which parts to join by their numbers and ETags; the size says that all are there.
        if etag_of(stored) == sent.etag or sent.has_parts:
            return
        if self._stored_sha256() != uploaded.sha256:
            raise StoreUnavailableError("The object store does not hold the bytes that were sent.")

    @waits_in_thread
    def _stored_sha256(self) -> str:
        digest = hashlib.sha256()
        with translate_errors(self._bucket):
            found = self._client.get_object(Bucket=self._bucket, Key=self._key)
            with closing(found["Body"]) as body:
                for piece in body.iter_chunks(_READ_BYTES):
                    self._check_not_stopped()
                    digest.update(piece)
        return digest.hexdigest()


def _in_parts(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the content in parts of `PART_SIZE`, later of more; the last part may be smaller."""
    held: list[memoryview] = []
    size = number = 0
    full = PART_SIZE
    for piece in pieces:
        rest = memoryview(piece)
        while size + len(rest) >= full:
            held.append(rest[: full - size])
            rest = rest[full - size :]
            yield b"".join(held)
            held, size = [], 0
            number += 1
            full = PART_SIZE << number // PARTS_OF_A_SIZE
        if rest:
            held.append(rest)
            size += len(rest)
    if held:
        yield b"".join(held)


def _chain(head: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    while head:
        yield head.pop(0)  # no variable: it would keep the part in memory
    yield from rest
