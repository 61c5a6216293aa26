"""Staged parts to one finished object."""

import hashlib
import threading
from collections.abc import Iterator

import pyarrow as pa
from temporalio import activity

from activities.boundary import Attempt, Attempts, in_thread
from exports import names, staging
from exports.errors import StagingError
from exports.formats import format_named
from exports.models import FinishedFile, Stage, StagedPart, UploadInput
from exports.objects import ObjectStore, Uploaded

# The schema stands at the beginning of a part; this much of it always holds the whole schema of
# a report, whose columns are a few hundred bytes each.
_SCHEMA_WITHIN = 256 * 1024


class UploadActivities:
    """Encodes and uploads the finished file.

    Args:
        attempts: Keeps the document true.
        store: Where the parts are, and where the file goes.
    """

    def __init__(self, *, attempts: Attempts, store: ObjectStore) -> None:
        self._attempts = attempts
        self._store = store

    @activity.defn(name=names.UPLOAD)
    async def upload(self, ask: UploadInput) -> FinishedFile:
        """Write the finished file under a key of this attempt alone."""
        async with self._attempts.at(
            Stage.UPLOAD, ask.task, retries_before=ask.retries_before
        ) as attempt:
            file_format = format_named(ask.plan.format)
            key = names.file_key(
                ask.task.task_id,
                ask.task.run_id,
                attempt=attempt.key,
                extension=file_format.extension,
            )

            def write(stop: threading.Event) -> Uploaded:
                schema = self._schema(ask.parts)
                batches = self._batches(ask.parts, schema, attempt)
                return self._store.upload(
                    key,
                    _counted(file_format.encode(schema, batches), attempt),
                    media_type=file_format.media_type,
                    file_name=ask.plan.file_name,
                    stop=stop,
                )

            uploaded = await in_thread(write)
            return FinishedFile(
                key=key,
                file_name=ask.plan.file_name,
                rows=sum(part.rows for part in ask.parts),
                bytes=uploaded.bytes,
                sha256=uploaded.sha256,
                retries=attempt.retries,
            )

    def _schema(self, parts: list[StagedPart]) -> pa.Schema:
        heads = (self._store.get(part.key, first=_SCHEMA_WITHIN) for part in parts)
        return staging.unify([staging.schema_at_head_of(head) for head in heads])

    def _batches(
        self, parts: list[StagedPart], schema: pa.Schema, attempt: Attempt
    ) -> Iterator[pa.RecordBatch]:
        for part in parts:
            data = self._store.get(part.key)
            if hashlib.sha256(data).hexdigest() != part.sha256:
                raise StagingError("A staged part is not what was staged.")
            _, batches = staging.decode_part(data)
            for batch in batches:
                attempt.rows += batch.num_rows
                yield staging.conform(batch, schema)


def _counted(pieces: Iterator[bytes], attempt: Attempt) -> Iterator[bytes]:
    for piece in pieces:
        attempt.bytes += len(piece)
        yield piece
