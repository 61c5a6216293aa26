"""The shortest program that takes rows through the bucket into a file, on both processors.

    python -m benchmarks.shortest DIRECTORY ROWS FORMAT TIMES

It reads, stages and encodes the rows with the product's own code, as many at the same time as the
product does: two processes read and stage parts, then one encodes them and uploads the file. There
is no Temporal, no task, no hash of ours, no check of what the store holds, no progress, and nothing
survives a crash. So it shows what the service cannot be faster than as long as a lost worker costs
only what it was about to stage. It exports the rows so many times. Each time it prints the seconds
from the first batch to the end of the upload, and the seconds of processor time.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import timedelta
from itertools import chain, count
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pymongo import AsyncMongoClient

from activities.aggregate import PART_BYTES
from benchmarks.bench import USER
from benchmarks.bulk import REPORT, YEAR
from benchmarks.replay import ReplaySource
from exports.formats import format_named
from exports.models import Unit
from exports.reports.file import load_reports
from exports.settings import Settings
from exports.staging.parts import decode_part, encode_part
from exports.storage.s3 import s3_client
from exports.storage.upload import PART_SIZE
from exports.tables.warnings import WarningCounts

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

_PROCESSORS: Final = 2
_IN_FLIGHT: Final = 3
_numbers = count(1)


class _Program:
    """What each process needs.

    Args:
        directory: Where the recording is.
        rows: How many rows there are.
    """

    def __init__(self, directory: Path, rows: int) -> None:
        settings = Settings.load()
        self._store: S3Client = s3_client(settings, settings.s3_endpoint_url)
        self._bucket = settings.s3_bucket
        self._report = load_reports(settings.reports_file).named(REPORT)
        self._params = self._report.check_params(dict(YEAR))
        self._source = ReplaySource(
            AsyncMongoClient[dict[str, Any]](connect=False)["none"],
            timedelta(0),
            directory=directory,
            rows=rows,
        )

    @property
    def units(self) -> list[Unit]:
        """What is read first."""
        return self._report.units(self._params)

    def staged(self, unit: Unit) -> tuple[list[str], list[Unit]]:
        """Read a unit and stage it; return the keys of its parts, and the units after it."""
        return asyncio.run(self._read(unit))

    async def _read(self, unit: Unit) -> tuple[list[str], list[Unit]]:
        keys: list[asyncio.Future[str]] = []
        rest: list[Unit] = []
        held: list[pa.RecordBatch] = []

        def stage() -> None:
            batches = held.copy()
            held.clear()
            key = f"shortest/{unit.key}/{len(keys)}"
            keys.append(asyncio.ensure_future(asyncio.to_thread(self._put, key, batches)))

        async for found in self._report.read(
            self._source, unit, params=self._params, created_by=USER
        ):
            held.append(found.batch)
            rest += found.rest
            if sum(batch.nbytes for batch in held) >= PART_BYTES:
                stage()
        if held:
            stage()
        return await asyncio.gather(*keys), rest

    def _put(self, key: str, batches: list[pa.RecordBatch]) -> str:
        part = encode_part(batches[0].schema, batches)
        self._store.put_object(Bucket=self._bucket, Key=key, Body=part.data)
        return key

    def get(self, key: str) -> bytes:
        """Fetch a part."""
        return self._store.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def upload(self, pieces: Iterable[bytes], key: str) -> None:
        """Upload a file, some parts at the same time."""
        store, bucket = self._store, self._bucket
        upload = store.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]

        def put(number: int, body: bytes) -> "CompletedPartTypeDef":
            answer = store.upload_part(
                Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body
            )
            return {"PartNumber": number, "ETag": answer["ETag"]}

        with ThreadPoolExecutor(_IN_FLIGHT) as pool:
            sent: list[Future[CompletedPartTypeDef]] = []
            for number, body in enumerate(_in_parts(pieces), start=1):
                if number > _IN_FLIGHT:
                    sent[number - 1 - _IN_FLIGHT].result()
                sent.append(pool.submit(put, number, body))
            parts = [part.result() for part in sent]
        store.complete_multipart_upload(
            Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
        )


def _in_parts(pieces: Iterable[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    for piece in pieces:
        held.append(piece)
        if sum(map(len, held)) >= PART_SIZE:
            yield b"".join(held)
            held.clear()
    yield b"".join(held)


def _export(here: _Program, readers: ProcessPoolExecutor, name: str) -> tuple[float, float]:
    """Export all rows once; return the seconds that it takes, and those of processor time."""
    began, used = time.perf_counter(), time.process_time()
    [first] = here.units
    keys, rest = here.staged(first)
    elsewhere = 0.0
    for found, seconds in readers.map(_stage, rest):
        keys += found
        elsewhere += seconds
    with ThreadPoolExecutor(_PROCESSORS) as pool:
        parts = (decode_part(data) for data in pool.map(here.get, keys))
        schema, head = next(parts)
        batches = chain(head, *(rows for _, rows in parts))
        here.upload(
            format_named(name).encode(schema, batches, WarningCounts()),
            f"shortest/export-{next(_numbers)}",
        )
    return time.perf_counter() - began, time.process_time() - used + elsewhere


_here: list[_Program] = []
"""The program of this process, in those that read."""


def _set_up(directory: Path, rows: int) -> None:
    _here.append(_Program(directory, rows))


def _stage(unit: Unit) -> tuple[list[str], float]:
    """Stage a unit; return the keys of its parts, and the seconds of processor time."""
    used = time.process_time()
    keys, _ = _here[0].staged(unit)
    return keys, time.process_time() - used


def main() -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shortest", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("rows", type=int)
    parser.add_argument("format")
    parser.add_argument("times", type=int)
    options = parser.parse_args()
    asked = (options.directory, options.rows)
    here = _Program(*asked)
    with ProcessPoolExecutor(
        _PROCESSORS, get_context("spawn"), initializer=_set_up, initargs=asked
    ) as readers:
        for _ in range(options.times):
            print(*_export(here, readers, options.format), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
