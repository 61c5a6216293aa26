"""One file on its way into the bucket: whole or in parts, and shown to be what was sent."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from exports.errors import ExportError, StoreUnavailableError
from exports.storage.s3 import content_disposition
from exports.storage.stored_bytes import md5_of, multipart_etag, whole_etag

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

# S3 allows 5 MiB to 5 GiB a part and 10,000 parts:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
PART_SIZE: Final = 16 * 1024 * 1024
_PARTS_IN_FLIGHT: Final = 4
_READ_BACK: Final = 1024 * 1024


class StoppedError(Exception):
    """The caller asked an upload to stop; nothing of it is left."""


@dataclass(frozen=True)
class Uploaded:
    """What an upload came to: size in bytes and SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


class FileUpload:
    """The writing of one object, in one thread. Raises what boto3 raises.

    Args:
        client: Of the object store.
        bucket: Where.
        key: Its key in the bucket.
        media_type: Content type.
        file_name: Name for those who download it without a link of ours.
        stop: Checked between pieces and before the object appears.
        abort: Aborts a multipart upload, by its id.
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
        abort: Callable[[str], None],
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._media_type = media_type
        self._disposition = content_disposition(file_name)
        self._stop = stop
        self._abort = abort

    def write(self, pieces: Iterable[bytes]) -> Uploaded:
        """Write the object; it appears whole or not at all.

        One part is put, more go up in parts of `PART_SIZE`, some at a time.

        Args:
            pieces: The content; pulled as the upload goes on.

        Raises:
            StoppedError: `stop` was set.
            StoreUnavailableError: The store holds something else than it was sent.
        """
        digest = hashlib.sha256()
        size = 0

        def observed() -> Iterator[bytes]:
            nonlocal size
            for piece in pieces:
                self._go_on()
                digest.update(piece)
                size += len(piece)
                yield piece

        parts = _in_parts(observed())
        head = list(islice(parts, 2))
        if len(head) < 2:  # noqa: PLR2004 -- one part, or none
            self._go_on()
            etag, seen = self._put_whole(b"".join(head))
        else:
            etag = self._put_in_parts(_chain(head, parts))
            seen = ""  # of an upload that was put together, the object itself is asked
        uploaded = Uploaded(bytes=size, sha256=digest.hexdigest())
        if seen != etag:
            self._check_stored(uploaded, etag)
        return uploaded

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise StoppedError

    def _put_whole(self, data: bytes) -> tuple[str, str]:
        """Put the object; return the ETag that shows that it is these bytes, and the answer's."""
        answer = self._client.put_object(
            Bucket=self._bucket,
            Key=self._key,
            Body=data,
            ContentType=self._media_type,
            ContentDisposition=self._disposition,
        )
        return whole_etag(data), answer.get("ETag", "").strip('"')

    def _put_in_parts(self, parts: Iterable[bytes]) -> str:
        """Put the object in parts; return the ETag that shows that it is these bytes."""
        upload_id = self._client.create_multipart_upload(
            Bucket=self._bucket,
            Key=self._key,
            ContentType=self._media_type,
            ContentDisposition=self._disposition,
        )["UploadId"]

        def put(number: int, data: bytes) -> tuple["CompletedPartTypeDef", bytes]:
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
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
            self._go_on()
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=upload_id,
                MultipartUpload={"Parts": done},
            )
            completed = True
        finally:
            if not completed:
                # A store that is away keeps the upload until the sweep removes it; what is to be
                # said is why the upload failed.
                with suppress(ExportError):
                    self._abort(upload_id)
        return multipart_etag([md5 for _, md5 in results])

    def _check_stored(self, uploaded: Uploaded, etag: str) -> None:
        """Make sure that the store holds what was sent; where its ETag can't tell, read it back.

        Raises:
            StoreUnavailableError: It holds something else; another attempt writes another object.
        """
        stored = self._client.head_object(Bucket=self._bucket, Key=self._key)
        if stored["ContentLength"] != uploaded.bytes:
            raise StoreUnavailableError(
                f"The object store holds {stored['ContentLength']} bytes of {uploaded.bytes}."
            )
        if stored.get("ETag", "").strip('"') == etag:
            return
        digest = hashlib.sha256()
        found = self._client.get_object(Bucket=self._bucket, Key=self._key)
        with closing(found["Body"]) as body:
            for piece in body.iter_chunks(_READ_BACK):
                self._go_on()
                digest.update(piece)
        if digest.hexdigest() != uploaded.sha256:
            raise StoreUnavailableError("The object store holds other bytes than it was sent.")


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
