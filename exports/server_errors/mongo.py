"""Translates errors of MongoDB and of its driver, by the server's error code."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from bson.errors import BSONError
from pymongo.errors import ConnectionFailure, NetworkTimeout, PyMongoError

from exports import errors
from exports.server_errors.translation import Translation


@dataclass(frozen=True)
class MongoRow:
    """What some errors of MongoDB become in the two places where they can happen.

    Attributes:
        source: When a report is read.
        tasks: When `ExportTasks` is read or written.
        codes: The error codes with their names in src/mongo/base/error_codes.yml of the server.
            Assertions have large numbers and no name; what they say is in brackets.
    """

    source: Translation
    tasks: Translation
    codes: Mapping[int, str]


_SOURCE_FAILED: Final = Translation(
    errors.SourceUnavailableError, "The source database could not read {where} ({what})."
)
_TASKS_FAILED: Final = Translation(
    errors.DatabaseUnavailableError,
    "The database that holds the tasks answered with an error ({what}).",
)
UNCONFIRMED: Final = Translation(
    errors.DatabaseUnavailableError,
    "The database that holds the tasks did not confirm the request ({what}). A write may have been "
    "applied.",
    away="database",
)
"""A request that was sent and not answered, or not confirmed by the majority, in time."""
_TASKS_REFUSED: Final = Translation(
    errors.DatabaseRefusedError, "The database that holds the tasks refused a command ({what})."
)
_TASKS_RULE: Final = Translation(
    errors.DatabaseRefusedError,
    "A validation rule or an index of ExportTasks rejected the task ({what}).",
)
_TASK_INVALID: Final = Translation(
    errors.TaskInvalidError,
    "The task can't be stored: it has a number of more than 64 bits, a text that is not valid "
    "Unicode, an invalid field name, or is too large.",
)
_PIPELINE: Final = Translation(
    errors.PipelineError, "The database refused the aggregation over {where} ({what})."
)
_PIPELINE_TOO_LARGE: Final = Translation(
    errors.PipelineError,
    "A row or a group of the aggregation over {where} is too large for the database ({what}).",
)

PASSING: Final = MongoRow(
    replace(_SOURCE_FAILED, away="source"),
    replace(_TASKS_FAILED, away="database"),
    {
        6: "HostUnreachable",
        7: "HostNotFound",
        43: "CursorNotFound",
        89: "NetworkTimeout",
        91: "ShutdownInProgress",
        133: "FailedToSatisfyReadPreference",
        134: "ReadConcernMajorityNotAvailableYet",
        189: "PrimarySteppedDown",
        202: "NetworkInterfaceExceededTimeLimit",
        211: "KeyNotFound",
        237: "CursorKilled",
        9001: "SocketException",
        10107: "NotWritablePrimary",
        11600: "InterruptedAtShutdown",
        11602: "InterruptedDueToReplStateChange",
        13435: "NotPrimaryNoSecondaryOk",
        13436: "NotPrimaryOrSecondary",
    },
)
"""What is over once there is a primary again, and every error with one of `PASSING_LABELS`.

A cursor is lost with its server, or if nothing is asked of it for ten minutes: while a step waits
for the object store. The keys that sign cluster times may not be there right after an election.
"""

MONGO: Final = (
    MongoRow(
        Translation(
            errors.SourceAccessError,
            "The source database refused access to {where} ({what}): check the user, the password "
            "and the role.",
        ),
        Translation(
            errors.DatabaseAccessError,
            "The database that holds the tasks refused the credentials or the permission ({what}).",
        ),
        {11: "UserNotFound", 13: "Unauthorized", 18: "AuthenticationFailed", 31: "RoleNotFound"},
    ),
    MongoRow(
        Translation(
            errors.CollectionMissingError,
            "There is no collection {where} in the source database.",
        ),
        _TASKS_REFUSED,
        {26: "NamespaceNotFound", 73: "InvalidNamespace"},
    ),
    MongoRow(
        Translation(
            errors.SourceUnavailableError,
            "The source database took too long to read {where} ({what}).",
        ),
        UNCONFIRMED,
        {50: "MaxTimeMSExpired", 262: "ExceededTimeLimit"},
    ),
    MongoRow(
        Translation(
            errors.SnapshotError,
            "The source database no longer has {where} as it was when the export began ({what}). "
            "Its minSnapshotHistoryWindowInSeconds must be longer than an export takes; or ask for "
            'less, or remove consistency = "snapshot" from the report.',
        ),
        _TASKS_FAILED,
        {239: "SnapshotTooOld"},
    ),
    MongoRow(
        Translation(
            errors.SnapshotError,
            "The source database can't show {where} as it was when the export began ({what}): the "
            "collection is capped, its indexes were changed meanwhile, or the server is not a "
            'replica set. Try again, or remove consistency = "snapshot" from the report.',
        ),
        _TASKS_FAILED,
        {123: "NotAReplicaSet", 246: "SnapshotUnavailable"},
    ),
    MongoRow(
        _PIPELINE,
        _TASKS_REFUSED,
        {
            2: "BadValue",
            9: "FailedToParse",
            14: "TypeMismatch",
            20: "IllegalOperation",
            59: "CommandNotFound",
            72: "InvalidOptions",
            79: "UnknownReplWriteConcern",
            115: "CommandNotSupported",
            148: "ReadConcernMajorityNotEnabled",
            165: "ViewDepthLimitExceeded",
            168: "InvalidPipelineOperator",
            182: "InvalidViewDefinition",
            195: "ViewPipelineMaxSizeExceeded",
            238: "NotImplemented",
            15952: "(unknown group operator)",
            15955: "(a group without an _id)",
            15998: "(an empty field name in a path)",
            16410: "(a field name begins with a dollar sign)",
            40323: "(a stage has more than one field)",
            40324: "(unknown stage)",
            40353: "(a path ends with a dot)",
        },
    ),
    MongoRow(
        Translation(
            errors.PipelineError,
            "The database refused the aggregation over {where} ({what}): it does not know the time "
            "zone. Update the server's time zones, or change the report's `timezone`.",
        ),
        _TASKS_REFUSED,
        {40485: "(unknown time zone)", 40517: "(a time zone is not text)"},
    ),
    MongoRow(
        Translation(
            errors.PipelineError,
            "The database refused the aggregation over {where} ({what}): a view converts a value "
            "of another type. Correct the document or the view.",
        ),
        _TASKS_REFUSED,
        {241: "ConversionFailure", 16006: "(a value is not a date)"},
    ),
    MongoRow(
        _PIPELINE,
        _TASK_INVALID,
        {
            28: "PathNotViable",
            52: "DollarPrefixedFieldName",
            57: "DottedFieldName",
            66: "ImmutableField",
        },
    ),
    MongoRow(
        _PIPELINE_TOO_LARGE,
        _TASK_INVALID,
        {
            10334: "BSONObjectTooLarge",
            17419: "(the updated document is too large)",
            17420: "(the new document is too large)",
        },
    ),
    MongoRow(
        _PIPELINE_TOO_LARGE,
        _TASKS_FAILED,
        {146: "ExceededMemoryLimit", 292: "QueryExceededMemoryLimitNoDiskUseAllowed"},
    ),
    PASSING,
    MongoRow(_SOURCE_FAILED, UNCONFIRMED, {64: "WriteConcernTimeout"}),
    MongoRow(
        _SOURCE_FAILED,
        Translation(
            errors.DatabaseUnavailableError,
            "The database that holds the tasks has too few members for a majority ({what}): "
            "correct its replica set. A write may have been applied.",
        ),
        {100: "UnsatisfiableWriteConcern"},
    ),
    MongoRow(
        _SOURCE_FAILED,
        _TASKS_RULE,
        {
            85: "IndexOptionsConflict",
            86: "IndexKeySpecsConflict",
            121: "DocumentValidationFailure",
            11000: "DuplicateKey",
        },
    ),
)

OTHER_CODES: Final = MongoRow(_SOURCE_FAILED, _TASKS_FAILED, {})
"""Every other code, and what the driver raises about something else than a connection."""

NO_CODE: Final = MongoRow(
    Translation(
        errors.SourceUnavailableError,
        "The source database can't be reached ({what}).",
        away="source",
    ),
    Translation(
        errors.DatabaseUnavailableError,
        "The database that holds the tasks can't be reached ({what}).",
        away="database",
    ),
    {},
)
"""What the driver raises if there is no connection, or no primary."""

NO_ANSWER: Final = MongoRow(NO_CODE.source, UNCONFIRMED, {})
"""What the driver raises when a request was sent and the answer did not come in time."""

NOT_BSON: Final = MongoRow(
    Translation(
        errors.PipelineError,
        "A value in {where}, or in the aggregation over it, is not valid BSON ({what}).",
    ),
    _TASK_INVALID,
    {},
)
"""What the driver can't encode or decode."""

PASSING_LABELS: Final = (
    "RetryableWriteError",
    "RetryableError",
    "SystemOverloadedError",
    "TransientTransactionError",
)
"""With one of these labels, the server says that the error may pass, for every error code."""

MONGO_ERRORS: Final = (PyMongoError, BSONError, OverflowError, UnicodeError, RecursionError)
"""What the driver raises. The last three are what it raises for a number of more than 64 bits,
for a text that is not valid Unicode, and for a document that is nested too deep."""

_BY_CODE: Final = {code: row for row in MONGO for code in row.codes}


def source_error(error: Exception, collection: str) -> errors.ExportError:
    """Translate what the driver raised while a report was read.

    Args:
        error: One of `MONGO_ERRORS`.
        collection: The collection that was read.
    """
    return _row(error).source.to_error(what=_name(error), where=repr(collection))


def tasks_error(error: Exception) -> errors.ExportError:
    """Translate what the driver raised while `ExportTasks` was read or written.

    Args:
        error: One of `MONGO_ERRORS`.
    """
    return _row(error).tasks.to_error(what=_name(error))


def _row(error: Exception) -> MongoRow:
    if not isinstance(error, PyMongoError):
        return NOT_BSON
    code = _code(error)
    if isinstance(error, NetworkTimeout):
        return NO_ANSWER
    if code is None:
        return NO_CODE if isinstance(error, ConnectionFailure) else OTHER_CODES
    if any(error.has_error_label(label) for label in PASSING_LABELS):
        return PASSING
    return _BY_CODE.get(code, OTHER_CODES)


def _name(error: Exception) -> str:
    """Return `code 13, Unauthorized`, or the name of the class if there is no code."""
    code = _code(error)
    if code is None:
        return type(error).__name__
    name = _details(error).get("codeName")
    known = isinstance(name, str) and re.fullmatch(r"\w{1,60}", name)
    return f"code {code}, {name}" if known else f"code {code}"


def _code(error: Exception) -> int | None:
    # `NotPrimaryError` has its code in `details` only; `OperationFailure` may have no details.
    code = _details(error).get("code", getattr(error, "code", None))
    return code if isinstance(code, int) else None


def _details(error: Exception) -> Mapping[str, object]:
    details: object = getattr(error, "details", None)
    return cast("Mapping[str, object]", details) if isinstance(details, Mapping) else {}
