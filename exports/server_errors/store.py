"""What the errors of an object store come to, by their code or, failing that, by HTTP status.

The codes are those of AWS, https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html;
of Tencent COS, https://www.tencentcloud.com/document/product/436/7730; of MinIO
(cmd/api-errors.go); and of SeaweedFS (weed/s3api/s3err/s3api_errors.go).
"""

from dataclasses import dataclass
from typing import Final

from exports import errors
from exports.server_errors.verdict import Fault, Verdict

_ASKED_WRONGLY: Final = Verdict(
    errors.StoreRefusedError,
    Fault.US,
    "The object store does not understand a request of ours ({what}).",
)
_NOT_ABLE: Final = Verdict(
    errors.StoreRefusedError, Fault.OPERATOR, "The object store can't do what we need ({what})."
)
_ELSEWHERE: Final = Verdict(
    errors.StoreRefusedError,
    Fault.OPERATOR,
    "The bucket {where} is somewhere else: the region or the endpoint is wrong ({what}).",
)
_STORE_ACCESS: Final = Verdict(
    errors.StoreAccessError,
    Fault.OPERATOR,
    "The object store refused access to the bucket {where} ({what}).",
)
_CLOCK: Final = Verdict(
    errors.ClockError,
    Fault.OPERATOR,
    "The object store refuses requests of this machine, because its clock is wrong by more than "
    "15 minutes.",
)
_NO_BUCKET: Final = Verdict(
    errors.BucketMissingError, Fault.OPERATOR, "There is no bucket named {where}."
)
_FULL: Final = Verdict(
    errors.StoreUnavailableError, Fault.OPERATOR, "The bucket {where} has no room left ({what})."
)
_FILE_TOO_LARGE: Final = Verdict(
    errors.TooLargeError, Fault.US, "The file is larger than the object store takes ({what})."
)
_NO_OBJECT: Final = Verdict(
    errors.StoreUnavailableError,
    Fault.SERVER,
    "The object store does not have what was written to it ({what}).",
)
STORE_BUSY: Final = Verdict(
    errors.StoreUnavailableError,
    Fault.SERVER,
    "The object store answered with an error ({what}).",
)
"""Whatever has a code and a status that are not listed."""
STORE_AWAY: Final = Verdict(
    errors.StoreUnavailableError, Fault.SERVER, "The object store can't be reached ({what})."
)
"""Whatever botocore raises that is not listed."""
_NO_CREDENTIALS: Final = Verdict(
    errors.StoreAccessError,
    Fault.OPERATOR,
    "There are no credentials for the object store ({what}).",
)


@dataclass(frozen=True)
class StoreRow:
    """What a code or a status of an object store comes to.

    Attributes:
        code: The code in the answer's body; or an HTTP status, for answers without a body or
            with a code that is not listed: `403`, or `5xx` for all that begin with a 5.
        verdict: What it comes to.
    """

    code: str
    verdict: Verdict


STORE: Final = (
    StoreRow("AccessDenied", _STORE_ACCESS),
    StoreRow("AccountProblem", _STORE_ACCESS),
    StoreRow("AllAccessDisabled", _STORE_ACCESS),
    StoreRow("AuthorizationHeaderMalformed", _STORE_ACCESS),
    StoreRow("ExpiredToken", _STORE_ACCESS),
    StoreRow("Forbidden", _STORE_ACCESS),
    StoreRow("InvalidAccessKeyId", _STORE_ACCESS),
    StoreRow("InvalidSecurity", _STORE_ACCESS),
    StoreRow("InvalidToken", _STORE_ACCESS),
    StoreRow("NotSignedUp", _STORE_ACCESS),
    StoreRow("SignatureDoesNotMatch", _STORE_ACCESS),
    StoreRow("TokenRefreshRequired", _STORE_ACCESS),
    StoreRow("UnavailableForLegalReasons", _STORE_ACCESS),  # COS: the account is in arrears
    StoreRow("RequestTimeTooSkewed", _CLOCK),
    StoreRow("RequestExpired", _CLOCK),
    StoreRow("NoSuchBucket", _NO_BUCKET),
    StoreRow("InvalidBucketName", _NO_BUCKET),
    StoreRow("IllegalLocationConstraintException", _ELSEWHERE),
    StoreRow("PermanentRedirect", _ELSEWHERE),
    StoreRow("NoSuchKey", _NO_OBJECT),
    StoreRow("NotFound", _NO_OBJECT),
    StoreRow("NoSuchUpload", _NO_OBJECT),
    StoreRow("InvalidPart", _NO_OBJECT),
    StoreRow("BadDigest", STORE_BUSY),
    StoreRow("InvalidDigest", STORE_BUSY),  # so SeaweedFS calls a body that changed on its way
    StoreRow("IncompleteBody", STORE_BUSY),
    StoreRow("XAmzContentSHA256Mismatch", STORE_BUSY),
    StoreRow("XAmzContentChecksumMismatch", STORE_BUSY),
    StoreRow("ConditionalRequestConflict", STORE_BUSY),
    StoreRow("OperationAborted", STORE_BUSY),
    StoreRow("TemporaryRedirect", STORE_BUSY),
    StoreRow("RequestTimeout", STORE_BUSY),
    StoreRow("InternalError", STORE_BUSY),
    StoreRow("ServiceUnavailable", STORE_BUSY),
    StoreRow("SlowDown", STORE_BUSY),
    StoreRow("SlowDownRead", STORE_BUSY),  # MinIO
    StoreRow("SlowDownWrite", STORE_BUSY),  # MinIO
    StoreRow("ErrTooManyRequest", STORE_BUSY),  # SeaweedFS
    StoreRow("ErrRequestBytesExceed", STORE_BUSY),  # SeaweedFS
    StoreRow("QuotaExceeded", _FULL),
    StoreRow("InsufficientStorage", _FULL),
    StoreRow("XMinioAdminBucketQuotaExceeded", _FULL),
    StoreRow("XMinioStorageFull", _FULL),
    StoreRow("EntityTooLarge", _FILE_TOO_LARGE),
    StoreRow("EntityTooSmall", _ASKED_WRONGLY),
    StoreRow("InvalidArgument", _ASKED_WRONGLY),
    StoreRow("InvalidPartOrder", _ASKED_WRONGLY),
    StoreRow("InvalidRequest", _ASKED_WRONGLY),
    StoreRow("KeyTooLongError", _ASKED_WRONGLY),
    StoreRow("MalformedXML", _ASKED_WRONGLY),
    StoreRow("MissingContentLength", _ASKED_WRONGLY),
    StoreRow("MethodNotAllowed", _NOT_ABLE),
    StoreRow("NotImplemented", _NOT_ABLE),
    StoreRow("301", _ELSEWHERE),
    StoreRow("401", _STORE_ACCESS),
    StoreRow("403", _STORE_ACCESS),
    StoreRow("404", _NO_OBJECT),
    StoreRow("405", _NOT_ABLE),
    StoreRow("411", _ASKED_WRONGLY),
    StoreRow("413", _FILE_TOO_LARGE),
    StoreRow("451", _STORE_ACCESS),
    StoreRow("501", _NOT_ABLE),
    StoreRow("507", _FULL),
    StoreRow("5xx", STORE_BUSY),
)

STORE_LIBRARY: Final = (
    StoreRow("NoCredentialsError", _NO_CREDENTIALS),
    StoreRow("PartialCredentialsError", _NO_CREDENTIALS),
    StoreRow("CredentialRetrievalError", _NO_CREDENTIALS),
    StoreRow("EndpointConnectionError", STORE_AWAY),
    StoreRow("ConnectTimeoutError", STORE_AWAY),
    StoreRow("ReadTimeoutError", STORE_AWAY),
    StoreRow("ConnectionClosedError", STORE_AWAY),
    StoreRow("ProxyConnectionError", STORE_AWAY),
    StoreRow("SSLError", STORE_AWAY),
    StoreRow("ResponseStreamingError", STORE_AWAY),
    StoreRow("IncompleteReadError", STORE_AWAY),
    StoreRow("ParamValidationError", _ASKED_WRONGLY),
)
"""What botocore raises itself, by the name of the class."""

_BY_CODE: Final = {row.code: row.verdict for row in STORE}
_BY_CLASS: Final = {row.code: row.verdict for row in STORE_LIBRARY}


def store_verdict(code: str, status: int | None) -> Verdict:
    """Return what an answer of the object store comes to.

    Args:
        code: The code in its body, or whatever botocore put in its place.
        status: Its HTTP status, if it is known.
    """
    for key in (code, f"{status}", f"{status}"[:1] + "xx"):
        if key in _BY_CODE:
            return _BY_CODE[key]
    return STORE_BUSY


def store_library_verdict(kind: type[Exception]) -> Verdict:
    """Return what an error of botocore's own comes to."""
    return _BY_CLASS.get(kind.__name__, STORE_AWAY)
