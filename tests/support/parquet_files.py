"""Reads parquet files as other programs do."""

import pyarrow as pa
import pyarrow.parquet as pq


def parquet_file(data: bytes) -> pq.ParquetFile:
    return pq.ParquetFile(pa.BufferReader(data))


def parquet_table(data: bytes) -> pa.Table:
    return parquet_file(data).read()
