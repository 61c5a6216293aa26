"""Runs an aggregation on the database that reports read, and says in our words what went wrong."""

import asyncio
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from exports.errors import (
    CollectionMissingError,
    ExportError,
    PipelineError,
    SourceAccessError,
    SourceUnavailableError,
)
from exports.pipelines import Stage

_BATCH_SIZE: Final = 1000
# The server keeps the query timeout. This is for a server that does not answer at all.
_GRACE: Final = timedelta(seconds=15)

_CODEC: Final = CodecOptions[dict[str, Any]](
    tz_aware=True,
    # One damaged document must not stop an export: a date beyond the year 9999 stays a number of
    # milliseconds, and what is not UTF-8 shows as replacement characters.
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)

# Codes: src/mongo/base/error_codes.yml of the server; the large numbers are the locations of its
# assertions. What is not listed may pass, so it is retried.
_CODES: Final[Mapping[int, type[ExportError]]] = {
    2: PipelineError,  # BadValue, a division by zero for one
    9: PipelineError,  # FailedToParse
    11: SourceAccessError,  # UserNotFound
    13: SourceAccessError,  # Unauthorized
    14: PipelineError,  # TypeMismatch
    18: SourceAccessError,  # AuthenticationFailed
    26: CollectionMissingError,  # NamespaceNotFound
    31: SourceAccessError,  # RoleNotFound
    59: PipelineError,  # CommandNotFound
    72: PipelineError,  # InvalidOptions
    73: CollectionMissingError,  # InvalidNamespace
    115: PipelineError,  # CommandNotSupported
    165: PipelineError,  # ViewDepthLimitExceeded
    168: PipelineError,  # InvalidPipelineOperator
    182: PipelineError,  # ViewPipelineMaxSizeExceeded
    238: PipelineError,  # NotImplemented
    241: PipelineError,  # ConversionFailure
    292: PipelineError,  # QueryExceededMemoryLimitNoDiskUseAllowed
    10334: PipelineError,  # BSONObjectTooLarge
    15952: PipelineError,  # unknown group operator
    15955: PipelineError,  # a group without an _id
    15998: PipelineError,  # an empty field name in a path
    16006: PipelineError,  # what should be a date is of another type
    16410: PipelineError,  # a field name that begins with a dollar sign
    40323: PipelineError,  # a stage with more than one field
    40324: PipelineError,  # unknown stage
    40353: PipelineError,  # a path that ends with a dot
    40485: PipelineError,  # unknown time zone
    40517: PipelineError,  # a time zone that is not text
}


async def aggregate(
    database: AsyncDatabase[dict[str, Any]],
    collection: str,
    pipeline: list[Stage],
    *,
    query_timeout: timedelta,
) -> list[dict[str, Any]]:
    """Run an aggregation and return its whole result.

    It reads what a majority of the replica set has, so that no failover takes a row back.

    Args:
        database: Where the collection is.
        collection: A collection or a view.
        pipeline: Its stages.
        query_timeout: Longest time on the server (`maxTimeMS`).

    Raises:
        CollectionMissingError: There is no such collection; MongoDB itself would give no rows.
        PipelineError: The database refuses the aggregation as such.
        SourceAccessError: The database refuses the credentials or the permission.
        SourceUnavailableError: The database can't be reached or did not answer in time.
    """
    try:
        async with asyncio.timeout((query_timeout + _GRACE).total_seconds()):
            return await _aggregate(database, collection, pipeline, query_timeout)
    except TimeoutError:
        raise SourceUnavailableError("The source database did not answer in time.") from None
    except PyMongoError as error:
        # The server's own text may repeat values of documents: it does not go any further.
        raise source_error(error, collection) from None


async def _aggregate(
    database: AsyncDatabase[dict[str, Any]],
    collection: str,
    pipeline: list[Stage],
    query_timeout: timedelta,
) -> list[dict[str, Any]]:
    # The names that this user may read are enough: needs no privilege on the whole database.
    names = await database.list_collection_names(
        filter={"name": collection}, authorizedCollections=True
    )
    if not names:
        raise _missing(collection)
    source = database.get_collection(
        collection, codec_options=_CODEC, read_concern=ReadConcern("majority")
    )
    cursor = await source.aggregate(
        pipeline,
        allowDiskUse=True,
        maxTimeMS=max(1, round(query_timeout.total_seconds() * 1000)),
        batchSize=_BATCH_SIZE,
    )
    async with cursor:
        return await cursor.to_list()


def source_error(error: PyMongoError, collection: str) -> ExportError:
    """Say in our words what the database or the driver said.

    Args:
        error: What pymongo raised.
        collection: The collection that was read.

    Returns:
        An error whose message has the code, its name and the collection, and nothing else that
        the server wrote.
    """
    if not isinstance(error, OperationFailure) or error.code is None:
        return SourceUnavailableError(
            f"The source database can't be reached ({type(error).__name__})."
        )
    what = f"(code {error.code}{_code_name(error)})"
    kind = _CODES.get(error.code, SourceUnavailableError)
    if kind is CollectionMissingError:
        return _missing(collection)
    if kind is SourceAccessError:
        return SourceAccessError(f"The database does not let us read {collection!r} {what}.")
    if kind is PipelineError:
        return PipelineError(f"The database refused the aggregation over {collection!r} {what}.")
    return SourceUnavailableError(f"The source database could not read {collection!r} {what}.")


def _missing(collection: str) -> CollectionMissingError:
    return CollectionMissingError(f"There is no collection {collection!r} in the source database.")


def _code_name(error: OperationFailure) -> str:
    name = (error.details or {}).get("codeName")
    return f", {name}" if isinstance(name, str) and re.fullmatch(r"\w{1,60}", name) else ""
