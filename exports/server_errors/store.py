"""Translates errors of the object store, by the code in its answer or by the HTTP status.

The codes are those of AWS, https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html;
of Tencent COS, https://www.tencentcloud.com/document/product/436/7730; of MinIO
(cmd/api-errors.go); and of SeaweedFS (weed/s3api/s3err/s3api_errors.go).
"""

from dataclasses import dataclass
from typing import Final

from exports import errors
from exports.server_errors.translation import Translation

_CERTIFICATE: Final = "SSLCertVerificationError"


@dataclass(frozen=True)
class StoreRow:
    """What some errors of an object store become.

    Attributes:
        translation: What they become.
        codes: The codes in the body of the answer.
        statuses: The HTTP statuses, for answers without a body or with a code that is not listed.
        classes: The names of exceptions that botocore raises by itself.
    """

    translation: Translation
    codes: tuple[str, ...] = ()
    statuses: tuple[int, ...] = ()
    classes: tuple[str, ...] = ()


STORE: Final = (
    StoreRow(
        Translation(
            errors.StoreAccessError,
            "The object store refused access to the bucket {where} ({what}).",
        ),
        codes=(
            "AccessDenied",
            "AccountProblem",
            "AllAccessDisabled",
            "AuthorizationHeaderMalformed",
            "Forbidden",
            "InvalidAccessKeyId",
            "InvalidSecurity",
            "InvalidToken",
            "NotSignedUp",
            "SignatureDoesNotMatch",
            "TokenRefreshRequired",
            "UnavailableForLegalReasons",  # COS: the account is in arrears
        ),
        statuses=(401, 403, 451),
    ),
    StoreRow(
        Translation(
            errors.StoreAccessError,
            "The credentials of the object store have ended, and there are no new ones.",
        ),
        # The last two are of the service that gives credentials for the token of a workload.
        codes=("ExpiredToken", "ExpiredTokenException", "InvalidIdentityToken"),
        classes=("RuntimeError",),  # botocore's, for credentials that were read again
    ),
    StoreRow(
        Translation(
            errors.StoreAccessError,
            "There are no credentials for the object store, or they can't be read ({what}).",
        ),
        classes=(
            *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"),
            # Of a `credential_process` that is not there, or writes what is not JSON.
            *("FileNotFoundError", "PermissionError", "JSONDecodeError"),
        ),
    ),
    StoreRow(
        Translation(
            errors.StoreUnavailableError,
            "The certificate of the object store is not trusted ({what}): check it, "
            "EXPORTS_S3_ENDPOINT_URL and EXPORTS_S3_CA_BUNDLE.",
        ),
        classes=(_CERTIFICATE,),
    ),
    StoreRow(
        Translation(
            errors.StoreUnavailableError,
            "The object store sent other bytes than its checksum says ({what}).",
        ),
        classes=("FlexibleChecksumError",),
    ),
    StoreRow(
        Translation(
            errors.ClockError,
            "The object store rejected a request, because the clock of this machine is wrong by "
            "more than 15 minutes.",
        ),
        codes=("RequestTimeTooSkewed", "RequestExpired"),
    ),
    StoreRow(
        Translation(errors.BucketMissingError, "There is no bucket named {where}."),
        codes=("NoSuchBucket", "InvalidBucketName"),
    ),
    StoreRow(
        Translation(
            errors.StoreRefusedError,
            "The bucket {where} is in another region or at another endpoint ({what}): check "
            "EXPORTS_S3_REGION and EXPORTS_S3_ENDPOINT_URL.",
        ),
        codes=("IllegalLocationConstraintException", "PermanentRedirect"),
        statuses=(301,),
    ),
    StoreRow(
        Translation(
            errors.StoreRefusedError,
            "The bucket {where} must be in the host name ({what}): set "
            "EXPORTS_S3_ADDRESSING_STYLE=virtual.",
        ),
        codes=("PathStyleDomainForbidden",),  # COS, for buckets made since 2024
    ),
    StoreRow(
        Translation(
            errors.StoreUnavailableError,
            "The object store does not have an object or an upload that was written to it "
            "({what}).",
        ),
        codes=("NoSuchKey", "NotFound", "NoSuchUpload", "InvalidPart"),
        statuses=(404,),
    ),
    StoreRow(
        Translation(
            errors.StoreUnavailableError,
            "The bucket {where} has no space left, or its quota is used up ({what}).",
        ),
        codes=(
            "QuotaExceeded",
            "InsufficientStorage",
            "XMinioAdminBucketQuotaExceeded",
            "XMinioStorageFull",
        ),
        statuses=(507,),
    ),
    StoreRow(
        Translation(
            errors.TooLargeError, "The file is larger than the object store accepts ({what})."
        ),
        codes=("EntityTooLarge",),
        statuses=(413,),
    ),
    StoreRow(
        Translation(
            errors.StoreRefusedError, "The object store rejected a request as invalid ({what})."
        ),
        codes=(
            "EntityTooSmall",
            "InvalidArgument",
            "InvalidPartOrder",
            "InvalidRequest",
            "KeyTooLongError",
            "MalformedXML",
            "MissingContentLength",
        ),
        statuses=(411,),
        classes=("ParamValidationError",),
    ),
    StoreRow(
        Translation(
            errors.StoreRefusedError,
            "The object store does not support a request that this service needs ({what}).",
        ),
        codes=("MethodNotAllowed", "NotImplemented"),
        statuses=(405, 501),
    ),
    StoreRow(
        Translation(
            errors.StoreUnavailableError,
            "The object store answers that it can't serve a request now ({what}).",
            away="store",
        ),
        codes=("InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"),
        statuses=(408, 429, 500, 502, 503, 504),
    ),
)

OTHER_ANSWERS: Final = Translation(
    errors.StoreUnavailableError, "The object store answered with an error ({what})."
)
"""Every other code and status."""
NO_ANSWER: Final = Translation(
    errors.StoreUnavailableError, "The object store can't be reached ({what}).", away="store"
)
"""Every other exception of botocore and of the libraries below it."""

_BY_CODE: Final = {code: row.translation for row in STORE for code in row.codes}
_BY_STATUS: Final[dict[int | None, Translation]] = {
    status: row.translation for row in STORE for status in row.statuses
}
_BY_CLASS: Final = {name: row.translation for row in STORE for name in row.classes}


def answer_error(code: str, status: int | None, bucket: str) -> errors.ExportError:
    """Translate an answer of the object store.

    Args:
        code: The code in its body; botocore puts the status there if there is no body.
        status: Its HTTP status, if it is known.
        bucket: The bucket.
    """
    found = _BY_CODE.get(code) or _BY_STATUS.get(status, OTHER_ANSWERS)
    return found.to_error(what=code, where=repr(bucket))


def library_error(error: Exception, bucket: str) -> errors.ExportError:
    """Translate an exception that botocore, or a library below it, raised by itself.

    Args:
        error: The exception.
        bucket: The bucket.
    """
    name = type(error).__name__
    # botocore has one class for all errors of TLS; the others are those of a broken connection.
    cause = _CERTIFICATE if "CERTIFICATE_VERIFY_FAILED" in str(error) else name
    return _BY_CLASS.get(cause, NO_ANSWER).to_error(what=name, where=repr(bucket))
