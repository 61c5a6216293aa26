"""The script that a good engineer writes where there is no service: rows to one file in the bucket.

    python -m benchmarks.plain DIRECTORY ROWS FORMAT

It decodes recorded batches with the driver, writes a file with the usual library, and uploads it
with `upload_file`. Prints the seconds from the first batch to the end of the upload.
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import boto3
import bson
import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter
from bson import Decimal128
from bson.codec_options import CodecOptions

from benchmarks.rows import ZONE, Rows
from exports.settings import Settings

RECORDED: Final = "documents.bson"
"""The collection of the documents, which have only the fields that are written."""
FIELDS: Final = (
    "_id",
    "createdAt",
    "tenant",
    "uid",
    "category",
    "region",
    "kind",
    "quantity",
    "amount",
    "note",
)
_OPTIONS: Final = CodecOptions[dict[str, Any]](tz_aware=True, tzinfo=ZONE)
_OTHERS: Final[dict[str, pa.DataType]] = {
    "createdAt": pa.timestamp("ms", tz=ZONE.key),
    "quantity": pa.int64(),
    "amount": pa.decimal128(38, 2),
}
_TYPES: Final = {name: _OTHERS.get(name, pa.string()) for name in FIELDS}

_Documents = Iterator[list[dict[str, Any]]]


def _documents(batches: Iterable[bytes]) -> _Documents:
    for batch in batches:
        yield bson.decode_all(batch, _OPTIONS)  # pyright: ignore[reportUnknownMemberType] -- an array among what it takes


def write_csv(found: _Documents, path: Path) -> None:
    """Write with the csv module."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for documents in found:
            writer.writerows([document[name] for name in FIELDS] for document in documents)


def write_ndjson(found: _Documents, path: Path) -> None:
    """Write a JSON object per line."""
    with path.open("w", encoding="utf-8") as file:
        for documents in found:
            file.writelines(
                json.dumps(document, ensure_ascii=False, default=str) + "\n"
                for document in documents
            )


def write_parquet(found: _Documents, path: Path) -> None:
    """Write with pyarrow, from a list of Python values for each column."""
    schema = pa.schema(list(_TYPES.items()))
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for documents in found:
            for document in documents:
                document["_id"] = str(document["_id"])
                document["amount"] = document["amount"].to_decimal()
            columns = [
                pa.array([document[name] for document in documents], kind)
                for name, kind in _TYPES.items()
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))  # pyright: ignore[reportUnknownMemberType] -- stubs


def write_xlsx(found: _Documents, path: Path) -> None:
    """Write with xlsxwriter, row by row, so that it holds one row."""
    book = xlsxwriter.Workbook(str(path), {"constant_memory": True})
    sheet = book.add_worksheet("Export")
    moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    money = book.add_format({"num_format": "#,##0.00"})
    for column, name in enumerate(FIELDS):
        sheet.write_string(0, column, name)
    row = 0
    for documents in found:
        for document in documents:
            row += 1
            for column, name in enumerate(FIELDS):
                value = document[name]
                if isinstance(value, str):
                    sheet.write_string(row, column, value)
                elif isinstance(value, datetime):
                    sheet.write_datetime(row, column, value.replace(tzinfo=None), moment)
                elif isinstance(value, int):
                    sheet.write_number(row, column, value)
                elif isinstance(value, Decimal128):
                    sheet.write_number(row, column, float(str(value)), money)
                else:
                    sheet.write_string(row, column, str(value))
    book.close()


WRITERS: Final = {
    "csv": write_csv,
    "ndjson": write_ndjson,
    "parquet": write_parquet,
    "xlsx": write_xlsx,
}


def main() -> int:
    """Run the script; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("rows", type=int)
    parser.add_argument("format", choices=WRITERS)
    options = parser.parse_args()
    settings = Settings.load()
    key, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    store = boto3.client(  # pyright: ignore[reportUnknownMemberType] -- the stubs of services that are not installed
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=key.get_secret_value() if key else None,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
    )
    rows = Rows((options.directory / RECORDED).read_bytes(), options.rows)
    with TemporaryDirectory() as directory:
        path = Path(directory) / f"export.{options.format}"
        began = time.perf_counter()
        WRITERS[options.format](_documents(rows.all()), path)
        store.upload_file(str(path), settings.s3_bucket, f"plain/{path.name}")
        print(time.perf_counter() - began)
    return 0


if __name__ == "__main__":
    sys.exit(main())
