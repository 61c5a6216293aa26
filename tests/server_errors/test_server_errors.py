"""An error of a server gets the right code and a clear message, and shows no text of the server."""

from typing import Any, Final

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    FlexibleChecksumError,
    NoCredentialsError,
    ParamValidationError,
    SSLError,
)
from bson.errors import InvalidDocument
from pymongo.errors import (
    AutoReconnect,
    DocumentTooLarge,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)
from temporalio.service import RPCError, RPCStatusCode
from urllib3.exceptions import HTTPError

from activities.boundary import domain_error
from dev.pages import error_classes
from exports.errors import ExportError
from exports.server_errors import mongo, store
from exports.storage import s3

SECRET: Final = "amount: 4711, key s3cr3t"


def _mongo(code: int, *labels: str) -> OperationFailure:
    return OperationFailure(
        SECRET, code, {"code": code, "codeName": "Name", "errmsg": SECRET, "errorLabels": labels}
    )


def _while_reading(error: Exception) -> ExportError:
    return mongo.source_error(error, "orders")


def _while_writing(error: Exception) -> ExportError:
    return mongo.tasks_error(error)


def _by_the_store(error: Exception) -> ExportError:
    with pytest.raises(ExportError) as raised, s3.translate_errors("files"):
        raise error
    assert raised.value.__cause__ is None
    return raised.value


def _answer(code: str, status: int) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": SECRET},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, "PutObject")


@pytest.mark.parametrize(
    ("code", "source", "tasks"),
    [
        (13, "E_SOURCE_ACCESS", "E_DATABASE_ACCESS"),
        (26, "E_COLLECTION", "E_DATABASE_REFUSED"),
        (2, "E_PIPELINE", "E_DATABASE_REFUSED"),
        (50, "E_SOURCE", "E_DATABASE"),
        (64, "E_SOURCE", "E_DATABASE"),
        (121, "E_SOURCE", "E_DATABASE_REFUSED"),
        (292, "E_PIPELINE", "E_DATABASE"),
        (10107, "E_SOURCE", "E_DATABASE"),
        (10334, "E_PIPELINE", "E_TASK"),
        (11600, "E_SOURCE", "E_DATABASE"),
        (40324, "E_PIPELINE", "E_DATABASE_REFUSED"),
        (99_999, "E_SOURCE", "E_DATABASE"),  # unknown
    ],
)
def test_an_error_of_mongodb_has_the_right_code(code: int, source: str, tasks: str) -> None:
    assert _while_reading(_mongo(code)).code == source
    assert _while_writing(_mongo(code)).code == tasks


def test_the_message_names_the_collection_and_the_code_and_nothing_of_the_servers_text() -> None:
    assert _while_reading(_mongo(168)).msg == (
        "The database refused the aggregation over 'orders' (code 168, Name)."
    )
    assert _while_writing(_mongo(64)).msg == (
        "The database that holds the tasks did not confirm the request (code 64, Name). A write "
        "may have been applied."
    )


@pytest.mark.parametrize("label", mongo.PASSING_LABELS)
def test_what_mongodb_labels_as_passing_is_retried_whatever_its_code(label: str) -> None:
    assert _while_reading(_mongo(13, label)).code == "E_SOURCE"
    assert _while_writing(_mongo(13, label)).code == "E_DATABASE"


def test_the_labels_are_those_of_the_drivers_specifications() -> None:
    assert set(mongo.PASSING_LABELS) == {
        *("RetryableWriteError", "TransientTransactionError"),
        *("RetryableError", "SystemOverloadedError"),
    }


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect(SECRET),
        NetworkTimeout(SECRET),
        PyMongoError(SECRET),
        OperationFailure(SECRET),
        NotPrimaryError(SECRET, {"code": 10107}),
        WTimeoutError(SECRET, 64),
    ],
)
def test_an_error_of_mongodb_that_may_pass_is_retried(error: PyMongoError) -> None:
    for found, code in ((_while_reading(error), "E_SOURCE"), (_while_writing(error), "E_DATABASE")):
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
def test_what_the_driver_can_not_encode_fails_at_once(error: Exception) -> None:
    for found, code in ((_while_reading(error), "E_PIPELINE"), (_while_writing(error), "E_TASK")):
        assert found.code == code
        assert found.permanent
        assert "4711" not in found.msg


@pytest.mark.parametrize(
    ("error", "code", "permanent"),
    [
        (_answer("AccessDenied", 403), "E_STORE_ACCESS", True),
        (_answer("ExpiredToken", 400), "E_STORE_ACCESS", True),
        (_answer("ExpiredTokenException", 400), "E_STORE_ACCESS", True),  # STS says these two
        (_answer("InvalidIdentityToken", 400), "E_STORE_ACCESS", True),
        (_answer("PathStyleDomainForbidden", 403), "E_STORE_REFUSED", True),
        (_answer("RequestTimeTooSkewed", 403), "E_CLOCK", False),
        (_answer("NoSuchBucket", 404), "E_BUCKET", True),
        (_answer("PermanentRedirect", 301), "E_STORE_REFUSED", True),
        (_answer("NoSuchUpload", 404), "E_STORE", False),
        (_answer("QuotaExceeded", 403), "E_STORE", False),
        (_answer("EntityTooLarge", 400), "E_TOO_LARGE", True),
        (_answer("InvalidArgument", 400), "E_STORE_REFUSED", True),
        (_answer("SlowDown", 503), "E_STORE", False),
        (_answer("BadDigest", 400), "E_STORE", False),  # not listed
        (_answer("InternalError", 200), "E_STORE", False),  # CompleteMultipartUpload may say so
        # The code is not listed, or it is the status, because an answer to HEAD has no body.
        (_answer("Unknown", 403), "E_STORE_ACCESS", True),
        (_answer("403", 403), "E_STORE_ACCESS", True),
        (_answer("404", 404), "E_STORE", False),
        (_answer("413", 413), "E_TOO_LARGE", True),
        (_answer("501", 501), "E_STORE_REFUSED", True),
        (_answer("502", 502), "E_STORE", False),
        (_answer("Unknown", 429), "E_STORE", False),
        # Exceptions of botocore, and of urllib3 below it.
        (NoCredentialsError(), "E_STORE_ACCESS", True),
        (ParamValidationError(report=SECRET), "E_STORE_REFUSED", True),
        (EndpointConnectionError(endpoint_url=SECRET), "E_STORE", False),
        (HTTPError(SECRET), "E_STORE", False),
    ],
    ids=str,
)
def test_an_error_of_the_object_store_has_the_right_code(
    error: Exception, code: str, *, permanent: bool
) -> None:
    found = _by_the_store(error)
    assert (found.code, found.permanent) == (code, permanent)
    assert "s3cr3t" not in found.msg


def test_the_message_names_the_bucket_and_the_stores_code() -> None:
    assert _by_the_store(_answer("AccessDenied", 403)).msg == (
        "The object store refused access to the bucket 'files' (AccessDenied)."
    )


def test_the_message_says_which_setting_mends_what_the_store_refuses() -> None:
    assert _by_the_store(_answer("PathStyleDomainForbidden", 403)).msg == (
        "The bucket 'files' must be in the host name (PathStyleDomainForbidden): set "
        "EXPORTS_S3_ADDRESSING_STYLE=virtual."
    )
    assert "have ended" in _by_the_store(_answer("ExpiredToken", 400)).msg


@pytest.mark.parametrize("error", [RuntimeError(SECRET), OSError(SECRET), ValueError(SECRET)])
def test_what_no_store_and_no_credentials_have_caused_is_not_blamed_on_them(
    error: Exception,
) -> None:
    with pytest.raises(type(error)), s3.translate_errors("files"):
        raise error


def test_every_row_of_the_object_store_is_found_by_all_its_keys() -> None:
    keys = [key for row in store.STORE for key in (*row.codes, *row.statuses, *row.classes)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("UNAVAILABLE", "E_UNREACHABLE"),
        ("RESOURCE_EXHAUSTED", "E_UNREACHABLE"),
        ("DEADLINE_EXCEEDED", "E_UNREACHABLE"),
        ("NOT_FOUND", "E_UNREACHABLE"),  # the namespace may still be created
        ("UNAUTHENTICATED", "E_TEMPORAL"),
        ("UNIMPLEMENTED", "E_TEMPORAL"),
        ("INVALID_ARGUMENT", "E_TEMPORAL"),
    ],
)
def test_an_error_of_temporal_has_the_right_code(status: str, code: str) -> None:
    found = domain_error(RPCError(SECRET, RPCStatusCode[status], b""))
    assert found.code == code
    assert found.permanent is (code == "E_TEMPORAL")
    assert "4711" not in found.msg
    assert status in found.msg


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect(SECRET),
        NetworkTimeout(SECRET),
        NotPrimaryError(SECRET, {"code": 10107}),
        _mongo(91),  # ShutdownInProgress
        _mongo(43),  # CursorNotFound: it was lost with its server
        _mongo(211),  # KeyNotFound: the new primary has no keys for cluster times yet
        _mongo(13, "RetryableError"),
    ],
    ids=repr,
)
def test_a_database_that_is_away_is_waited_for(error: PyMongoError) -> None:
    assert (_while_reading(error).away, _while_writing(error).away) == ("source", "database")


@pytest.mark.parametrize("code", [11, 13, 18, 26, 59, 100, 121, 168, 10334, 11000, 99_999])
def test_what_mongodb_refuses_is_not_waited_for(code: int) -> None:
    assert _while_reading(_mongo(code)).away is None
    assert _while_writing(_mongo(code)).away is None


def test_a_query_that_takes_too_long_is_not_sent_again_within_the_attempt() -> None:
    assert _while_reading(_mongo(50)).away is None


def test_a_write_that_no_majority_confirmed_is_sent_again() -> None:
    assert _while_writing(WTimeoutError(SECRET, 64)).away == "database"


@pytest.mark.parametrize(
    "error",
    [
        *(_answer("SlowDown", 503), _answer("ServiceUnavailable", 503), _answer("502", 502)),
        *(_answer("InternalError", 500), _answer("RequestTimeout", 400), _answer("Unknown", 429)),
        *(EndpointConnectionError(endpoint_url=SECRET), HTTPError(SECRET)),
        SSLError(endpoint_url=SECRET, error=OSError("UNEXPECTED_EOF_WHILE_READING")),
    ],
    ids=str,
)
def test_an_object_store_that_is_away_or_overloaded_is_waited_for(error: Exception) -> None:
    assert _by_the_store(error).away == "store"


@pytest.mark.parametrize(
    "error",
    [
        *(_answer("AccessDenied", 403), _answer("ExpiredToken", 400), _answer("403", 403)),
        *(_answer("NoSuchKey", 404), _answer("NoSuchUpload", 404), _answer("NoSuchBucket", 404)),
        *(_answer("QuotaExceeded", 403), _answer("507", 507), _answer("501", 501)),
        *(_answer("BadDigest", 400), _answer("InvalidArgument", 400), NoCredentialsError()),
        SSLError(endpoint_url=SECRET, error=OSError("CERTIFICATE_VERIFY_FAILED")),
        FlexibleChecksumError(error_msg=SECRET),
    ],
    ids=str,
)
def test_what_the_object_store_refuses_is_not_waited_for(error: Exception) -> None:
    assert _by_the_store(error).away is None


def test_every_error_of_this_service_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in error_classes()]
    assert len(codes) == len(set(codes))


def test_an_unexpected_error_shows_nothing_of_its_text() -> None:
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError(SECRET)
    found = domain_error(raised.value)
    assert (found.code, found.permanent) == ("E_INTERNAL", False)
    assert "4711" not in found.msg
