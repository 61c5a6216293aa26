"""Each error of a server comes to one of ours: which, whose, retried or not, and in what words.

The tables here are written by hand, from what the servers' documentation says. Each row of the
code's tables has to stand in one of them.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    ResponseStreamingError,
    SSLError,
)
from bson.errors import InvalidDocument
from pymongo.errors import (
    AutoReconnect,
    DocumentTooLarge,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)
from temporalio.service import RPCError, RPCStatusCode
from urllib3.exceptions import HTTPError

from activities.boundary import domain_error
from exports import errors
from exports.errors import ExportError
from exports.server_errors import mongo, ours, store, temporal
from exports.server_errors.verdict import Fault, Verdict
from exports.source.database import source_error
from exports.storage import s3
from exports.tasks.collection import translated
from tests.support import error_pages, pages
from tests.support.paths import REPOSITORY

RETRY, GIVE_UP = False, True
OPERATOR, SERVER, US = Fault.OPERATOR, Fault.SERVER, Fault.US
SECRET: Final = "amount: 4711, key s3cr3t"


class Told(NamedTuple):
    """What a person and a run are told."""

    code: str
    permanent: bool
    fault: Fault
    sentence: str


def told(verdict: Verdict, error: ExportError) -> Told:
    assert type(error) is verdict.error
    return Told(error.code, error.permanent, verdict.fault, error.msg)


# MongoDB: what a report's run is told, and what is told when the tasks are read or written.
UNREAD: Final = Told("E_SOURCE", RETRY, SERVER, "The source database could not read 'orders' (#).")
UNDONE: Final = Told(
    "E_DATABASE", RETRY, SERVER, "The database that holds the tasks did not do its part (#)."
)
SLOW: Final = Told("E_SOURCE", RETRY, OPERATOR, "The database took too long to read 'orders' (#).")
QUERY: Final = Told(
    "E_PIPELINE", GIVE_UP, OPERATOR, "The database refused the aggregation over 'orders' (#)."
)
BIG: Final = Told(
    "E_PIPELINE",
    GIVE_UP,
    OPERATOR,
    "A row of 'orders' needs more room than the database has for one (#).",
)
NO_READING: Final = Told(
    "E_SOURCE_ACCESS", GIVE_UP, OPERATOR, "The database does not let us read 'orders' (#)."
)
NO_COLLECTION: Final = Told(
    "E_COLLECTION", GIVE_UP, OPERATOR, "There is no collection 'orders' in the source database."
)
NO_TASKS: Final = Told(
    "E_DATABASE_ACCESS",
    GIVE_UP,
    OPERATOR,
    "The database that holds the tasks refused the credentials or the permission.",
)
REFUSED: Final = Told(
    "E_DATABASE_REFUSED",
    GIVE_UP,
    OPERATOR,
    "The database that holds the tasks refused a command (#).",
)
RULES: Final = Told(
    "E_DATABASE_REFUSED",
    GIVE_UP,
    OPERATOR,
    "A rule or an index of ExportTasks refuses what a task holds (#).",
)
UNSURE: Final = Told(
    "E_DATABASE",
    RETRY,
    SERVER,
    "The database that holds the tasks may have lost a write, which is made again (#).",
)
TASK: Final = Told(
    "E_TASK",
    GIVE_UP,
    Fault.WHO_ASKED,
    "The task holds something that the database can't: a number, a name of a field, or too much.",
)

MONGO: Final[dict[int, tuple[Told, Told]]] = {
    **dict.fromkeys((6, 7, 89, 9001, 10058, 10107, 13435, 13436, 189), (UNREAD, UNDONE)),
    **dict.fromkeys((91, 11600, 11601, 11602), (UNREAD, UNDONE)),  # shuts down, steps down
    **dict.fromkeys((43, 96, 112, 133, 134, 175, 202, 237, 246, 286), (UNREAD, UNDONE)),
    **dict.fromkeys((365, 371, 391, 433, 449, 14031), (UNREAD, UNDONE)),  # overloaded, full
    **dict.fromkeys((50, 262), (SLOW, UNDONE)),
    **dict.fromkeys((11, 13, 18, 31), (NO_READING, NO_TASKS)),
    **dict.fromkeys((26, 73), (NO_COLLECTION, REFUSED)),
    **dict.fromkeys((2, 9, 14, 20, 59, 72, 79, 115, 148), (QUERY, REFUSED)),
    **dict.fromkeys((165, 168, 182, 195, 238, 241), (QUERY, REFUSED)),
    **dict.fromkeys((15952, 15955, 15998, 16006, 16410), (QUERY, REFUSED)),
    **dict.fromkeys((40323, 40324, 40353, 40485, 40517), (QUERY, REFUSED)),
    **dict.fromkeys((28, 52, 57, 66), (QUERY, TASK)),
    **dict.fromkeys((10334, 17419, 17420), (BIG, TASK)),
    **dict.fromkeys((146, 292), (BIG, UNDONE)),
    **dict.fromkeys((64, 100), (UNREAD, UNSURE)),
    **dict.fromkeys((85, 86, 121, 11000), (UNREAD, RULES)),
}


def _of_tasks(error: Exception) -> ExportError:
    with pytest.raises(ExportError) as raised, translated():
        raise error
    assert raised.value.__cause__ is None
    return raised.value


def _called(row: Told, what: str) -> Told:
    return row._replace(sentence=row.sentence.replace("#", what))


@pytest.mark.parametrize(("code", "expected"), MONGO.items())
def test_a_code_of_mongodb_is_told_for_what_it_is(code: int, expected: tuple[Told, Told]) -> None:
    error = OperationFailure(SECRET, code, {"code": code, "codeName": "Name", "errmsg": SECRET})
    verdict = mongo.mongo_verdict(error)
    source, tasks = (_called(row, f"code {code}, Name") for row in expected)
    assert told(verdict.source, source_error(error, "orders")) == source
    assert told(verdict.tasks, _of_tasks(error)) == tasks


def test_every_code_of_mongodb_has_its_row_here() -> None:
    assert sorted(MONGO) == [row.code for row in mongo.MONGO]


@pytest.mark.parametrize("label", mongo.MONGO_LABELS)
def test_what_mongodb_itself_calls_passing_is_retried_whatever_its_code(label: str) -> None:
    error = OperationFailure(SECRET, 13, {"code": 13, "errorLabels": [label]})
    assert source_error(error, "orders").code == "E_SOURCE"
    assert _of_tasks(error).code == "E_DATABASE"


def test_the_labels_are_those_of_the_drivers_specifications() -> None:
    assert set(mongo.MONGO_LABELS) == {
        *("RetryableWriteError", "TransientTransactionError"),
        *("RetryableError", "SystemOverloadedError"),
    }


@pytest.mark.parametrize(
    ("error", "source", "tasks"),
    [
        (AutoReconnect(SECRET), "E_SOURCE", "E_DATABASE"),
        (PyMongoError(SECRET), "E_SOURCE", "E_DATABASE"),
        (OperationFailure(SECRET), "E_SOURCE", "E_DATABASE"),
        (OperationFailure(SECRET, 99_999), "E_SOURCE", "E_DATABASE"),
        (ExecutionTimeout(SECRET, 50), "E_SOURCE", "E_DATABASE"),
        (NotPrimaryError(SECRET, {"code": 10107}), "E_SOURCE", "E_DATABASE"),
        (WTimeoutError(SECRET, 64), "E_SOURCE", "E_DATABASE"),
    ],
)
def test_what_is_not_listed_may_pass(error: PyMongoError, source: str, tasks: str) -> None:
    for found, code in ((source_error(error, "orders"), source), (_of_tasks(error), tasks)):
        assert found.code == code
        assert not found.permanent
        assert "4711" not in found.msg


@pytest.mark.parametrize(
    "error",
    [
        InvalidDocument(SECRET),
        DocumentTooLarge(SECRET),
        OverflowError(SECRET),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, SECRET),
        RecursionError(SECRET),
    ],
)
def test_what_the_driver_can_not_write_is_the_tasks_fault(error: Exception) -> None:
    assert told(mongo.MONGO_VALUES.tasks, _of_tasks(error)) == TASK


# The object store.
BUSY: Final = Told("E_STORE", RETRY, SERVER, "The object store answered with an error (#).")
FULL: Final = Told("E_STORE", RETRY, OPERATOR, "The bucket 'files' has no room left (#).")
GONE: Final = Told(
    "E_STORE", RETRY, SERVER, "The object store does not have what was written to it (#)."
)
AWAY: Final = Told("E_STORE", RETRY, SERVER, "The object store can't be reached (#).")
NO_ACCESS: Final = Told(
    "E_STORE_ACCESS",
    GIVE_UP,
    OPERATOR,
    "The object store refused access to the bucket 'files' (#).",
)
NO_KEYS: Final = Told(
    "E_STORE_ACCESS", GIVE_UP, OPERATOR, "There are no credentials for the object store (#)."
)
CLOCK: Final = Told(
    "E_CLOCK",
    RETRY,  # by a worker whose clock is right
    OPERATOR,
    "The object store refuses requests of this machine, because its clock is wrong by more than "
    "15 minutes.",
)
NO_BUCKET: Final = Told("E_BUCKET", GIVE_UP, OPERATOR, "There is no bucket named 'files'.")
ELSEWHERE: Final = Told(
    "E_STORE_REFUSED",
    GIVE_UP,
    OPERATOR,
    "The bucket 'files' is somewhere else: the region or the endpoint is wrong (#).",
)
WRONG: Final = Told(
    "E_STORE_REFUSED", GIVE_UP, US, "The object store does not understand a request of ours (#)."
)
NOT_ABLE: Final = Told(
    "E_STORE_REFUSED", GIVE_UP, OPERATOR, "The object store can't do what we need (#)."
)
HUGE: Final = Told(
    "E_TOO_LARGE", GIVE_UP, US, "The file is larger than the object store takes (#)."
)

STORE: Final[dict[str, tuple[int, Told]]] = {
    "AccessDenied": (403, NO_ACCESS),
    "AccountProblem": (403, NO_ACCESS),
    "AllAccessDisabled": (403, NO_ACCESS),
    "AuthorizationHeaderMalformed": (400, NO_ACCESS),
    "ExpiredToken": (400, NO_ACCESS),
    "Forbidden": (403, NO_ACCESS),
    "InvalidAccessKeyId": (403, NO_ACCESS),
    "InvalidSecurity": (403, NO_ACCESS),
    "InvalidToken": (400, NO_ACCESS),
    "NotSignedUp": (403, NO_ACCESS),
    "SignatureDoesNotMatch": (403, NO_ACCESS),
    "TokenRefreshRequired": (400, NO_ACCESS),
    "UnavailableForLegalReasons": (451, NO_ACCESS),
    "RequestTimeTooSkewed": (403, CLOCK),
    "RequestExpired": (400, CLOCK),
    "NoSuchBucket": (404, NO_BUCKET),
    "InvalidBucketName": (400, NO_BUCKET),
    "IllegalLocationConstraintException": (400, ELSEWHERE),
    "PermanentRedirect": (301, ELSEWHERE),
    "NoSuchKey": (404, GONE),
    "NotFound": (404, GONE),
    "NoSuchUpload": (404, GONE),
    "InvalidPart": (400, GONE),
    "BadDigest": (400, BUSY),
    "InvalidDigest": (400, BUSY),
    "IncompleteBody": (400, BUSY),
    "XAmzContentSHA256Mismatch": (400, BUSY),
    "XAmzContentChecksumMismatch": (400, BUSY),
    "ConditionalRequestConflict": (409, BUSY),
    "OperationAborted": (409, BUSY),
    "TemporaryRedirect": (307, BUSY),
    "RequestTimeout": (400, BUSY),
    "InternalError": (500, BUSY),
    "ServiceUnavailable": (503, BUSY),
    "SlowDown": (503, BUSY),
    "SlowDownRead": (503, BUSY),
    "SlowDownWrite": (503, BUSY),
    "ErrTooManyRequest": (429, BUSY),
    "ErrRequestBytesExceed": (429, BUSY),
    "QuotaExceeded": (403, FULL),
    "InsufficientStorage": (507, FULL),
    "XMinioAdminBucketQuotaExceeded": (400, FULL),
    "XMinioStorageFull": (507, FULL),
    "EntityTooLarge": (400, HUGE),
    "EntityTooSmall": (400, WRONG),
    "InvalidArgument": (400, WRONG),
    "InvalidPartOrder": (400, WRONG),
    "InvalidRequest": (400, WRONG),
    "KeyTooLongError": (400, WRONG),
    "MalformedXML": (400, WRONG),
    "MissingContentLength": (411, WRONG),
    "MethodNotAllowed": (405, NOT_ABLE),
    "NotImplemented": (501, NOT_ABLE),
}

STATUSES: Final[dict[int, Told]] = {
    301: ELSEWHERE,
    401: NO_ACCESS,
    403: NO_ACCESS,
    404: GONE,
    405: NOT_ABLE,
    411: WRONG,
    413: HUGE,
    451: NO_ACCESS,
    501: NOT_ABLE,
    507: FULL,
    **dict.fromkeys((500, 502, 503, 504, 599), BUSY),
    **dict.fromkeys((302, 400, 408, 409, 418, 429), BUSY),  # unknown: it may pass
}

LIBRARY: Final[dict[Exception, Told]] = {
    NoCredentialsError(): NO_KEYS,
    PartialCredentialsError(provider="env", cred_var="key"): NO_KEYS,
    CredentialRetrievalError(provider="env", error_msg=SECRET): NO_KEYS,
    EndpointConnectionError(endpoint_url=SECRET): AWAY,
    ConnectTimeoutError(endpoint_url=SECRET): AWAY,
    ReadTimeoutError(endpoint_url=SECRET): AWAY,
    ConnectionClosedError(endpoint_url=SECRET): AWAY,
    ProxyConnectionError(proxy_url=SECRET): AWAY,
    SSLError(endpoint_url=SECRET, error=OSError(SECRET)): AWAY,
    ResponseStreamingError(error=SECRET): AWAY,
    IncompleteReadError(actual_bytes=1, expected_bytes=2): AWAY,
    ParamValidationError(report=SECRET): WRONG,
    HTTPClientError(error=SECRET): AWAY,  # not listed
    HTTPError(SECRET): AWAY,  # of urllib3, likewise
}


def _of_store(error: Exception) -> ExportError:
    with pytest.raises(ExportError) as raised, s3.translate_errors("files"):
        raise error
    assert "s3cr3t" not in f"{raised.value!r} {raised.value.__cause__!r}"
    return raised.value


def _answered(code: str, status: int) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": SECRET},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "PutObject")


@pytest.mark.parametrize(("code", "expected"), STORE.items())
def test_a_code_of_the_object_store_is_told_for_what_it_is(
    code: str, expected: tuple[int, Told]
) -> None:
    status, row = expected
    verdict = store.store_verdict(code, status)
    assert told(verdict, _of_store(_answered(code, status))) == _called(row, code)


@pytest.mark.parametrize("in_the_body", [True, False])
@pytest.mark.parametrize(("status", "expected"), STATUSES.items())
def test_without_a_code_that_is_known_the_status_decides(
    status: int, expected: Told, *, in_the_body: bool
) -> None:
    # An answer to HEAD has no body, and botocore puts the status in place of the code.
    code = "Unheard0f" if in_the_body else str(status)
    verdict = store.store_verdict(code, status)
    assert told(verdict, _of_store(_answered(code, status))) == _called(expected, code)


@pytest.mark.parametrize(
    ("error", "expected"), LIBRARY.items(), ids=lambda value: type(value).__name__
)
def test_what_botocore_raises_is_told_for_what_it_is(error: Exception, expected: Told) -> None:
    name = type(error).__name__
    verdict = store.store_library_verdict(type(error))
    assert told(verdict, _of_store(error)) == _called(expected, name)


def test_every_row_of_the_object_store_has_its_row_here() -> None:
    codes = [row.code for row in store.STORE]
    assert len(codes) == len(set(codes))
    statuses = {str(status) for status in STATUSES} | {"5xx"}
    assert {code for code in codes if code[0].isdigit()} <= statuses
    assert {code for code in codes if not code[0].isdigit()} == set(STORE)
    raised = {type(error).__name__ for error in LIBRARY}
    assert {row.code for row in store.STORE_LIBRARY} == raised - {"HTTPClientError", "HTTPError"}


# Temporal.
SILENT: Final = Told("E_UNREACHABLE", RETRY, SERVER, "Temporal did not do its part (#).")
NAMELESS: Final = Told(
    "E_UNREACHABLE",
    RETRY,
    OPERATOR,
    "Temporal does not know the namespace, or what was asked about (#).",
)
LOCKED: Final = Told(
    "E_TEMPORAL",
    GIVE_UP,
    OPERATOR,
    "Temporal does not let us do that (#): the API key, the certificate or the permission.",
)
OLD: Final = Told(
    "E_TEMPORAL",
    GIVE_UP,
    OPERATOR,
    "Temporal can't do that: it is too old, or not set up for it (#).",
)
PUZZLED: Final = Told(
    "E_TEMPORAL", GIVE_UP, US, "Temporal does not understand a request of ours (#)."
)

TEMPORAL: Final[dict[str, Told]] = {
    **dict.fromkeys(("CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "ABORTED"), SILENT),
    **dict.fromkeys(("RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"), SILENT),
    **dict.fromkeys(("UNAUTHENTICATED", "PERMISSION_DENIED"), LOCKED),
    **dict.fromkeys(("UNIMPLEMENTED", "FAILED_PRECONDITION"), OLD),
    **dict.fromkeys(("INVALID_ARGUMENT", "ALREADY_EXISTS", "OUT_OF_RANGE"), PUZZLED),
    "NOT_FOUND": NAMELESS,
}


@pytest.mark.parametrize(("name", "expected"), TEMPORAL.items())
def test_a_status_of_temporal_is_told_for_what_it_is(name: str, expected: Told) -> None:
    status = RPCStatusCode[name]
    [row] = [row for row in temporal.TEMPORAL if row.status is status]
    error = domain_error(RPCError(SECRET, status, b""))
    assert told(row.verdict, error) == _called(expected, name)


def test_every_status_of_temporal_has_its_row_here_and_in_the_code() -> None:
    statuses = {status for status in RPCStatusCode if status is not RPCStatusCode.OK}
    assert [row.status for row in temporal.TEMPORAL] == sorted(statuses)
    assert set(TEMPORAL) == {status.name for status in statuses}


# Ours: what the same call would come to again, and whose it is.
OURS: Final[dict[str, tuple[bool, Fault]]] = {
    **dict.fromkeys(
        (
            *("E_ACTION", "E_REQUEST", "E_TYPE", "E_PARAMS", "E_FORMAT", "E_FORMAT_LIMIT"),
            *("E_NOT_FOUND", "E_STATE", "E_EXPIRED", "E_TASK", "E_TASK_LOST"),
            *("E_IDEMPOTENCY_KEY", "E_CODEC_ACCESS"),
        ),
        (GIVE_UP, Fault.WHO_ASKED),
    ),
    **dict.fromkeys(("E_TIMEOUT", "E_DOWNLOAD"), (RETRY, Fault.WHO_ASKED)),
    **dict.fromkeys(
        (
            *("E_COLLECTION", "E_PIPELINE", "E_MISMATCH", "E_SOURCE_ACCESS"),
            *("E_DATABASE_ACCESS", "E_DATABASE_REFUSED", "E_BUCKET", "E_STORE_ACCESS"),
            *("E_STORE_REFUSED", "E_STAGING", "E_WORKER_LOST", "E_REPORTS", "E_SETTINGS"),
            *("E_SCHEDULE", "E_TEMPORAL", "E_REPORT_CHANGED"),
        ),
        (GIVE_UP, OPERATOR),
    ),
    **dict.fromkeys(
        ("E_CLOCK", "E_STEP_TIMEOUT", "E_UNREACHABLE", "E_ENCRYPTION_KEY"), (RETRY, OPERATOR)
    ),
    **dict.fromkeys(("E_SOURCE", "E_DATABASE", "E_STORE"), (RETRY, SERVER)),
    "E_TOO_LARGE": (GIVE_UP, US),
    "E_INTERNAL": (RETRY, US),
}


def _classes(base: type[ExportError] = ExportError) -> Iterator[type[ExportError]]:
    for kind in base.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from _classes(kind)


@pytest.mark.parametrize("kind", [*_classes()], ids=lambda kind: kind.code)
def test_each_error_of_ours_says_whether_to_try_again_and_whose_it_is(
    kind: type[ExportError],
) -> None:
    [row] = [row for row in ours.OURS if row.error is kind]
    assert (kind.permanent, row.fault) == OURS[kind.code]
    assert domain_error(kind("said")).msg == "said"


def test_no_row_of_ours_is_left_over() -> None:
    assert {row.error for row in ours.OURS} == {*_classes()}
    assert {row.error.code for row in ours.OURS} == set(OURS)


def test_what_nobody_expected_is_ours_and_shows_nothing_of_itself() -> None:
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError(SECRET)
    found = domain_error(raised.value)
    assert (found.code, found.permanent) == ("E_INTERNAL", RETRY)
    assert "4711" not in found.msg


@pytest.mark.parametrize("heading", error_pages.tables())
def test_the_page_shows_the_table_of_the_code(heading: str) -> None:
    page = (REPOSITORY / "docs" / "errors.md").read_text(encoding="utf-8")
    _, _, rest = page.partition(f"\n## {heading}\n")
    assert next(pages.tables(rest)) == error_pages.tables()[heading]
