"""Encodes the staged parts into the finished file, and uploads it."""

import threading
from collections.abc import Iterable, Iterator

import pyarrow as pa
from temporalio import activity

from activities.attempts import Attempt, Attempts
from activities.boundary import in_thread
from exports import names
from exports.formats import format_named
from exports.formats.preview import PreviewMaker
from exports.models import FinishedFile, Stage, UploadInput
from exports.runtime.precedence import GivingWay
from exports.staging.cache import PartCache
from exports.staging.reader import StagedParts
from exports.storage.bucket import ObjectStore
from exports.storage.upload import StoppedError, Uploaded
from exports.tables.columns import with_about
from exports.tables.warnings import WarningCounts


class UploadActivities:
    """Encodes and uploads the finished file.

    Args:
        attempts: Makes the attempts.
        store: The bucket.
        cache: Parts that this worker has kept.
    """

    def __init__(self, *, attempts: Attempts, store: ObjectStore, cache: PartCache) -> None:
        self._attempts = attempts
        self._store = store
        self._cache = cache

    @activity.defn(name=names.UPLOAD)
    async def upload(self, ask: UploadInput) -> FinishedFile:
        """Write the finished file under a key of this attempt alone, and its preview beside it."""
        async with self._attempts.at(
            Stage.UPLOAD,
            ask.task,
            retries_before=ask.retries_before,
            is_heavy=ask.plan.bulk,
        ) as attempt:
            file_format = format_named(ask.plan.format)
            key = names.file_key(
                ask.task.task_id,
                ask.task.run_id,
                attempt=attempt.key,
                extension=file_format.extension,
            )

            warn = WarningCounts(ask.warnings)
            # Units that are read side by side do not know of each other's rows.
            rows = attempt.total = sum(part.rows for part in ask.parts)
            ask.plan.check_rows(rows)

            def write(stop: threading.Event) -> Uploaded:
                with StagedParts(self._store, ask.parts, self._cache, warn) as parts:
                    preview = PreviewMaker(parts.schema)
                    pieces = file_format.encode(
                        with_about(parts.schema, ask.plan.about or []),
                        preview.watching(_rows(parts, attempt, stop, bulk=ask.plan.bulk)),
                        warn,
                    )
                    uploaded = self._store.upload(
                        key,
                        _bytes(pieces, attempt),
                        media_type=file_format.media_type,
                        file_name=ask.plan.file_name,
                        stop=stop,
                    )
                seen = preview.preview.model_dump_json().encode()
                self._store.put(names.preview_key(key), seen)
                return uploaded

            uploaded = await in_thread(write)
            return FinishedFile(
                key=key,
                file_name=ask.plan.file_name,
                rows=rows,
                bytes=uploaded.bytes,
                sha256=uploaded.sha256,
                warnings=warn.warnings,
                retries=attempt.retries,
            )


def _rows(
    batches: Iterable[pa.RecordBatch], attempt: Attempt, stop: threading.Event, *, bulk: bool
) -> Iterator[pa.RecordBatch]:
    giving_way = GivingWay()
    for batch in batches:
        if bulk:
            giving_way.pause()
        # Some formats read all rows before they return the first byte.
        if stop.is_set():
            raise StoppedError
        attempt.rows += batch.num_rows
        yield batch


def _bytes(pieces: Iterable[bytes], attempt: Attempt) -> Iterator[bytes]:
    for piece in pieces:
        attempt.bytes += len(piece)
        yield piece
