"""What the errors of MongoDB come to, by their code."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from bson.errors import BSONError
from pymongo.errors import PyMongoError

from exports import errors
from exports.server_errors.verdict import Fault, Verdict


@dataclass(frozen=True)
class MongoVerdict:
    """What one error of MongoDB comes to in the two places where it may happen.

    Attributes:
        source: When a report is read.
        tasks: When `ExportTasks` is read or written.
    """

    source: Verdict
    tasks: Verdict


_UNREAD: Final = Verdict(
    errors.SourceUnavailableError,
    Fault.SERVER,
    "The source database could not read {where} ({what}).",
)
_UNDONE: Final = Verdict(
    errors.DatabaseUnavailableError,
    Fault.SERVER,
    "The database that holds the tasks did not do its part ({what}).",
)
_TASKS_REFUSED: Final = Verdict(
    errors.DatabaseRefusedError,
    Fault.OPERATOR,
    "The database that holds the tasks refused a command ({what}).",
)
_TASK: Final = Verdict(
    errors.TaskInvalidError,
    Fault.WHO_ASKED,
    "The task holds something that the database can't: a number, a name of a field, or too much.",
)
_QUERY: Final = Verdict(
    errors.PipelineError,
    Fault.OPERATOR,
    "The database refused the aggregation over {where} ({what}).",
)
_TOO_MUCH: Final = Verdict(
    errors.PipelineError,
    Fault.OPERATOR,
    "A row of {where} needs more room than the database has for one ({what}).",
)

MONGO_BUSY: Final = MongoVerdict(_UNREAD, _UNDONE)
"""Whatever has a code that is not listed."""
MONGO_AWAY: Final = MongoVerdict(
    Verdict(
        errors.SourceUnavailableError,
        Fault.SERVER,
        "The source database can't be reached ({what}).",
    ),
    _UNDONE,
)
"""Whatever has no code."""
_SLOW: Final = MongoVerdict(
    Verdict(
        errors.SourceUnavailableError,
        Fault.OPERATOR,
        "The database took too long to read {where} ({what}).",
    ),
    _UNDONE,
)
_ACCESS: Final = MongoVerdict(
    Verdict(
        errors.SourceAccessError,
        Fault.OPERATOR,
        "The database does not let us read {where} ({what}).",
    ),
    Verdict(
        errors.DatabaseAccessError,
        Fault.OPERATOR,
        "The database that holds the tasks refused the credentials or the permission.",
    ),
)
_MISSING: Final = MongoVerdict(
    Verdict(
        errors.CollectionMissingError,
        Fault.OPERATOR,
        "There is no collection {where} in the source database.",
    ),
    _TASKS_REFUSED,
)
_REFUSED: Final = MongoVerdict(_QUERY, _TASKS_REFUSED)
_TOO_LARGE: Final = MongoVerdict(_TOO_MUCH, _TASK)
_FIELD: Final = MongoVerdict(_QUERY, _TASK)
_MEMORY: Final = MongoVerdict(_TOO_MUCH, _UNDONE)
_UNSURE: Final = MongoVerdict(
    _UNREAD,
    Verdict(
        errors.DatabaseUnavailableError,
        Fault.SERVER,
        "The database that holds the tasks may have lost a write, which is made again ({what}).",
    ),
)
_RULES: Final = MongoVerdict(
    _UNREAD,
    Verdict(
        errors.DatabaseRefusedError,
        Fault.OPERATOR,
        "A rule or an index of ExportTasks refuses what a task holds ({what}).",
    ),
)


@dataclass(frozen=True)
class MongoRow:
    """What a code of MongoDB comes to.

    Attributes:
        code: Number of the error.
        name: Its name in src/mongo/base/error_codes.yml of the server. The large numbers are the
            places of its assertions, which have none; what they say stands in brackets.
        verdict: What it comes to.
    """

    code: int
    name: str
    verdict: MongoVerdict


MONGO: Final = (
    MongoRow(2, "BadValue", _REFUSED),  # a division by zero, for one
    MongoRow(6, "HostUnreachable", MONGO_BUSY),
    MongoRow(7, "HostNotFound", MONGO_BUSY),
    MongoRow(9, "FailedToParse", _REFUSED),
    MongoRow(11, "UserNotFound", _ACCESS),
    MongoRow(13, "Unauthorized", _ACCESS),
    MongoRow(14, "TypeMismatch", _REFUSED),
    MongoRow(18, "AuthenticationFailed", _ACCESS),
    MongoRow(20, "IllegalOperation", _REFUSED),  # a server that is no replica set
    MongoRow(26, "NamespaceNotFound", _MISSING),
    MongoRow(28, "PathNotViable", _FIELD),
    MongoRow(31, "RoleNotFound", _ACCESS),
    MongoRow(43, "CursorNotFound", MONGO_BUSY),
    MongoRow(50, "MaxTimeMSExpired", _SLOW),
    MongoRow(52, "DollarPrefixedFieldName", _FIELD),
    MongoRow(57, "DottedFieldName", _FIELD),
    MongoRow(59, "CommandNotFound", _REFUSED),
    MongoRow(64, "WriteConcernTimeout", _UNSURE),
    MongoRow(66, "ImmutableField", _FIELD),
    MongoRow(72, "InvalidOptions", _REFUSED),
    MongoRow(73, "InvalidNamespace", _MISSING),
    MongoRow(79, "UnknownReplWriteConcern", _REFUSED),
    MongoRow(85, "IndexOptionsConflict", _RULES),
    MongoRow(86, "IndexKeySpecsConflict", _RULES),
    MongoRow(89, "NetworkTimeout", MONGO_BUSY),
    MongoRow(91, "ShutdownInProgress", MONGO_BUSY),
    MongoRow(96, "OperationFailed", MONGO_BUSY),
    MongoRow(100, "UnsatisfiableWriteConcern", _UNSURE),
    MongoRow(112, "WriteConflict", MONGO_BUSY),
    MongoRow(115, "CommandNotSupported", _REFUSED),
    MongoRow(121, "DocumentValidationFailure", _RULES),
    MongoRow(133, "FailedToSatisfyReadPreference", MONGO_BUSY),
    MongoRow(134, "ReadConcernMajorityNotAvailableYet", MONGO_BUSY),
    MongoRow(146, "ExceededMemoryLimit", _MEMORY),
    MongoRow(148, "ReadConcernMajorityNotEnabled", _REFUSED),
    MongoRow(165, "ViewDepthLimitExceeded", _REFUSED),
    MongoRow(168, "InvalidPipelineOperator", _REFUSED),
    MongoRow(175, "QueryPlanKilled", MONGO_BUSY),
    MongoRow(182, "InvalidViewDefinition", _REFUSED),
    MongoRow(189, "PrimarySteppedDown", MONGO_BUSY),
    MongoRow(195, "ViewPipelineMaxSizeExceeded", _REFUSED),
    MongoRow(202, "NetworkInterfaceExceededTimeLimit", MONGO_BUSY),
    MongoRow(237, "CursorKilled", MONGO_BUSY),
    MongoRow(238, "NotImplemented", _REFUSED),
    MongoRow(241, "ConversionFailure", _REFUSED),
    MongoRow(246, "SnapshotUnavailable", MONGO_BUSY),
    MongoRow(262, "ExceededTimeLimit", _SLOW),
    MongoRow(286, "ChangeStreamHistoryLost", MONGO_BUSY),
    MongoRow(292, "QueryExceededMemoryLimitNoDiskUseAllowed", _MEMORY),
    MongoRow(365, "TemporarilyUnavailable", MONGO_BUSY),
    MongoRow(371, "UserWritesBlocked", MONGO_BUSY),
    MongoRow(391, "ReauthenticationRequired", MONGO_BUSY),
    MongoRow(433, "AdmissionQueueOverflow", MONGO_BUSY),
    MongoRow(449, "RateLimitExceeded", MONGO_BUSY),
    MongoRow(9001, "SocketException", MONGO_BUSY),
    MongoRow(10058, "LegacyNotPrimary", MONGO_BUSY),
    MongoRow(10107, "NotWritablePrimary", MONGO_BUSY),
    MongoRow(10334, "BSONObjectTooLarge", _TOO_LARGE),
    MongoRow(11000, "DuplicateKey", _RULES),
    MongoRow(11600, "InterruptedAtShutdown", MONGO_BUSY),
    MongoRow(11601, "Interrupted", MONGO_BUSY),
    MongoRow(11602, "InterruptedDueToReplStateChange", MONGO_BUSY),
    MongoRow(13435, "NotPrimaryNoSecondaryOk", MONGO_BUSY),
    MongoRow(13436, "NotPrimaryOrSecondary", MONGO_BUSY),
    MongoRow(14031, "OutOfDiskSpace", MONGO_BUSY),
    MongoRow(15952, "(unknown group operator)", _REFUSED),
    MongoRow(15955, "(a group without an _id)", _REFUSED),
    MongoRow(15998, "(an empty field name in a path)", _REFUSED),
    MongoRow(16006, "(what should be a date is of another type)", _REFUSED),
    MongoRow(16410, "(a field name that begins with a dollar sign)", _REFUSED),
    MongoRow(17419, "(the updated document is too large)", _TOO_LARGE),
    MongoRow(17420, "(the new document is too large)", _TOO_LARGE),
    MongoRow(40323, "(a stage with more than one field)", _REFUSED),
    MongoRow(40324, "(unknown stage)", _REFUSED),
    MongoRow(40353, "(a path that ends with a dot)", _REFUSED),
    MongoRow(40485, "(unknown time zone)", _REFUSED),
    MongoRow(40517, "(a time zone that is not text)", _REFUSED),
)

MONGO_LABELS: Final = (
    "RetryableWriteError",
    "RetryableError",
    "SystemOverloadedError",
    "TransientTransactionError",
)
"""A label says of one answer that it may pass, and so it does, whatever its code."""

MONGO_VALUES: Final = MongoVerdict(
    Verdict(
        errors.PipelineError,
        Fault.OPERATOR,
        "A value in {where}, or of the aggregation over it, is none of MongoDB's ({what}).",
    ),
    _TASK,
)
"""What the driver can't encode or decode: see `NO_VALUES`."""

NO_VALUES: Final = (BSONError, OverflowError, UnicodeError, RecursionError)
"""What the driver raises for that: too large a number, half a character, too deep a nesting."""

_BY_CODE: Final = {row.code: row.verdict for row in MONGO}


def mongo_verdict(error: PyMongoError) -> MongoVerdict:
    """Return what an error of MongoDB, or of its driver, comes to."""
    code = _code(error)
    if code is None:
        return MONGO_AWAY
    if any(error.has_error_label(label) for label in MONGO_LABELS):
        return MONGO_BUSY
    return _BY_CODE.get(code, MONGO_BUSY)


def mongo_name(error: PyMongoError) -> str:
    """Return how an error is called: `code 13, Unauthorized`, or the name of its class.

    The server's own text may repeat values of documents: it does not go any further.
    """
    code = _code(error)
    if code is None:
        return type(error).__name__
    name = _details(error).get("codeName")
    known = isinstance(name, str) and re.fullmatch(r"\w{1,60}", name)
    return f"code {code}, {name}" if known else f"code {code}"


def _code(error: PyMongoError) -> int | None:
    # A server that is no primary any more is no `OperationFailure`, which alone has a `code`.
    code = _details(error).get("code", getattr(error, "code", None))
    return code if isinstance(code, int) else None


def _details(error: PyMongoError) -> Mapping[str, object]:
    details: object = getattr(error, "details", None)
    return cast("Mapping[str, object]", details) if isinstance(details, Mapping) else {}
